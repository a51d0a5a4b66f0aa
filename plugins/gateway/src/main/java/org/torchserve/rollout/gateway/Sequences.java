package org.torchserve.rollout.gateway;

import java.util.UUID;
import java.util.function.UnaryOperator;
import org.pytorch.serve.util.ConfigManager;
import org.pytorch.serve.util.messages.RequestInput;
import org.pytorch.serve.wlm.Model;

/** Sequences: requests that belong together, because a worker keeps state from one to the next. */
final class Sequences {
    private Sequences() {}

    /**
     * Gives a request that begins a sequence its id. That is TorchServe's way, but here it comes before a version is
     * chosen, so that the requests that follow find the same.
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

    /** Whether the headers say that a sequence ends with this request. */
    static boolean ends(UnaryOperator<String> headers) {
        return Boolean.parseBoolean(headers.apply(ConfigManager.getInstance().getTsHeaderKeySequenceEnd()));
    }
}
