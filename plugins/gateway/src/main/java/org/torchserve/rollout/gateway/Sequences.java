package org.torchserve.rollout.gateway;

import java.util.UUID;
import org.pytorch.serve.util.ConfigManager;
import org.pytorch.serve.util.messages.RequestInput;
import org.pytorch.serve.wlm.Model;

/** Sequences: requests that belong together, because a worker keeps state from one to the next. */
final class Sequences {
    private Sequences() {}

    /**
     * Gives a request that begins a sequence its id. That is TorchServe's way, but here it comes before a version is
     * chosen: the id decides it, for this request as for those that follow.
     */
    static void beginIfNew(String model, RequestInput input) {
        Model found = TorchServeVersions.find(model, null);
        if (found != null && found.isSequenceBatching()) {
            beginIfNew(input);
        }
    }

    /** The same for a request of which it is known that its version keeps state. */
    static void beginIfNew(RequestInput input) {
        if (input.getSequenceId().isEmpty()) {
            ConfigManager config = ConfigManager.getInstance();
            input.updateHeaders(config.getTsHeaderKeySequenceStart(), "true");
            input.updateHeaders(config.getTsHeaderKeySequenceId(), "ts-seq-" + UUID.randomUUID());
        }
    }
}
