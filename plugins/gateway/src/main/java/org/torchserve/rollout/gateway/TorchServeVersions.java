package org.torchserve.rollout.gateway;

import java.util.List;
import org.pytorch.serve.archive.model.ModelVersionNotFoundException;
import org.pytorch.serve.wlm.Model;
import org.pytorch.serve.wlm.ModelManager;
import org.pytorch.serve.wlm.WorkerState;
import org.pytorch.serve.wlm.WorkerThread;
import org.torchserve.rollout.routing.Outcome;
import org.torchserve.rollout.routing.Versions;

/** What TorchServe has registered, and whether it has workers. */
public final class TorchServeVersions implements Versions {
    @Override
    public String defaultVersion(String model) {
        Model found = find(model, null);
        return found == null ? null : found.getVersion();
    }

    @Override
    public boolean isRegistered(String model, String version) {
        return find(model, version) != null;
    }

    @Override
    public boolean hasWorkers(String model, String version) {
        Model found = find(model, version);
        return found != null && hasWorkers(found);
    }

    /** A version, or with {@code version} null the default version; null if it is not registered. */
    static Model find(String model, String version) {
        try {
            return ModelManager.getInstance().getModel(model, version);
        } catch (ModelVersionNotFoundException unknown) {
            return null;
        }
    }

    static boolean hasWorkers(Model model) {
        return !ModelManager.getInstance().getWorkers(model.getModelVersionName()).isEmpty();
    }

    /**
     * Why nobody would take a request now, or null if a worker has the model loaded. Workers that are there but not loaded
     * crashed, or never came up, which is the version's own fault; TorchServe itself queues for them all the same.
     */
    static Outcome absence(Model model) {
        List<WorkerThread> workers = ModelManager.getInstance().getWorkers(model.getModelVersionName());
        for (WorkerThread worker : workers) {
            WorkerState state = worker.getState();
            // After a crash an asynchronous worker stays in STARTED for good although it serves.
            if (state == WorkerState.WORKER_MODEL_LOADED
                    || state == WorkerState.WORKER_STARTED && model.isAsyncCommunication()) {
                return null;
            }
        }
        return workers.isEmpty() ? Outcome.NO_CAPACITY : Outcome.WORKER_DIED;
    }
}
