package org.torchserve.rollout.gateway;

import org.pytorch.serve.archive.model.ModelVersionNotFoundException;
import org.pytorch.serve.wlm.Model;
import org.pytorch.serve.wlm.ModelManager;
import org.pytorch.serve.wlm.WorkerState;
import org.pytorch.serve.wlm.WorkerThread;
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

    /** True if a worker has the model loaded; TorchServe itself also queues for workers that never will. */
    static boolean hasLoadedWorker(Model model) {
        for (WorkerThread worker : ModelManager.getInstance().getWorkers(model.getModelVersionName())) {
            WorkerState state = worker.getState();
            // After a crash an asynchronous worker stays in STARTED for good although it serves.
            if (state == WorkerState.WORKER_MODEL_LOADED
                    || state == WorkerState.WORKER_STARTED && model.isAsyncCommunication()) {
                return true;
            }
        }
        return false;
    }
}
