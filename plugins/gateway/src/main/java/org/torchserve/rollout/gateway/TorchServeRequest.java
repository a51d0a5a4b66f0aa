package org.torchserve.rollout.gateway;

import java.util.HashMap;
import org.pytorch.serve.archive.model.ModelNotFoundException;
import org.pytorch.serve.archive.model.ModelVersionNotFoundException;
import org.pytorch.serve.util.ApiUtils;
import org.pytorch.serve.util.messages.RequestInput;
import org.pytorch.serve.wlm.Model;
import org.pytorch.serve.wlm.ModelManager;
import org.torchserve.rollout.routing.Attempt;
import org.torchserve.rollout.routing.Dispatcher;
import org.torchserve.rollout.routing.Outcome;
import org.torchserve.rollout.routing.Problem;
import org.torchserve.rollout.routing.Route;

/** One client request that can be put into the queue of any version, more than once. */
final class TorchServeRequest implements Dispatcher {
    private final RequestInput template;
    private final double defaultDeadlineS;
    private int attempts;

    TorchServeRequest(RequestInput template, double defaultDeadlineS) {
        this.template = template;
        this.defaultDeadlineS = defaultDeadlineS;
    }

    @Override
    public Dispatched dispatch(Attempt attempt) throws RefusedException {
        Route route = attempt.route();
        Model model = TorchServeVersions.find(route.model(), route.version());
        if (model == null) {
            throw notRegistered(route);
        }
        Outcome absence = route.role().isSpare() ? TorchServeVersions.absence(model) : null;
        if (absence != null) {
            throw unavailable(route, absence);
        }
        FrontendMetrics.requested(route.model(), route.version());
        AttemptJob job = new AttemptJob(attempt, model, inputFor(model), defaultDeadlineS);
        try {
            if (!ModelManager.getInstance().addJob(job)) {
                throw unavailable(route, Outcome.NO_CAPACITY);
            }
        } catch (ModelNotFoundException | ModelVersionNotFoundException unregisteredJustNow) {
            throw notRegistered(route);
        }
        return job;
    }

    /** Each attempt has an id of its own: TorchServe finds the job of an answer by it. */
    private RequestInput inputFor(Model model) {
        attempts++;
        String id = template.getRequestId();
        RequestInput input = new RequestInput(attempts == 1 ? id : id + "-" + attempts);
        input.setParameters(template.getParameters());
        input.setHeaders(template.getHeaders());
        input.setClientExpireTS(model.getClientTimeoutInMills());
        if (model.isSequenceBatching()) {
            input.setHeaders(new HashMap<>(template.getHeaders()));
            Sequences.beginIfNew(input);
        }
        return input;
    }

    private static RefusedException unavailable(Route route, Outcome why) {
        String message = ApiUtils.getStreamingInferenceErrorResponseMessage(route.model(), route.version());
        return new RefusedException(why, new Problem(503, "ServiceUnavailableException", message));
    }

    private static RefusedException notRegistered(Route route) {
        String message =
                "Model version: " + route.version() + " does not exist for model: " + route.model();
        return new RefusedException(
                Outcome.NO_CAPACITY, new Problem(404, ModelVersionNotFoundException.class.getSimpleName(), message));
    }
}
