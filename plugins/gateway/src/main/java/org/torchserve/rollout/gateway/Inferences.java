package org.torchserve.rollout.gateway;

import java.util.HashMap;
import org.pytorch.serve.archive.model.ModelNotFoundException;
import org.pytorch.serve.archive.model.ModelVersionNotFoundException;
import org.pytorch.serve.util.messages.InputParameter;
import org.pytorch.serve.util.messages.RequestInput;
import org.torchserve.rollout.routing.Caller;
import org.torchserve.rollout.routing.Exchange;
import org.torchserve.rollout.routing.Mirror;
import org.torchserve.rollout.routing.Route;
import org.torchserve.rollout.routing.Router;
import org.torchserve.rollout.routing.Sender;

/** Where inferences go, from whichever listener they come. */
final class Inferences {
    private static final String MIRROR = "x-rollout-mirror";

    private final Router router;
    private final Mirror mirror;
    private final double defaultDeadlineS;

    Inferences(Router router, Mirror mirror, double defaultDeadlineS) {
        this.router = router;
        this.mirror = mirror;
        this.defaultDeadlineS = defaultDeadlineS;
    }

    /** See {@link Router#route}; throws what TorchServe throws for a model or version that is not registered. */
    Route route(String model, String named, Sender sender)
            throws ModelNotFoundException, ModelVersionNotFoundException {
        Route route = router.route(model, named == null || named.isEmpty() ? null : named, sender);
        if (route != null) {
            return route;
        }
        if (named == null || TorchServeVersions.find(model, null) == null) {
            throw new ModelNotFoundException("Model not found: " + model);
        }
        throw new ModelVersionNotFoundException("Model version: " + named + " does not exist for model: " + model);
    }

    /** Starts a request on its way, and its copies if the policy wants any. */
    Exchange begin(Route route, RequestInput input, Caller caller) {
        return mirror.begin(
                route,
                input.getRequestId(),
                new TorchServeRequest(input, defaultDeadlineS),
                caller,
                () -> bytes(input),
                shadow -> new TorchServeRequest(copy(input, shadow), defaultDeadlineS));
    }

    private static long bytes(RequestInput input) {
        return input.getParameters().stream().map(InputParameter::getValue).mapToLong(each -> each.length).sum();
    }

    /** The same content under an id of its own; the header tells handlers with side effects to leave them. */
    private static RequestInput copy(RequestInput input, String shadow) {
        RequestInput copy = new RequestInput(input.getRequestId() + "-mirror-" + shadow);
        copy.setParameters(input.getParameters());
        copy.setHeaders(new HashMap<>(input.getHeaders()));
        copy.updateHeaders(MIRROR, "1");
        return copy;
    }
}
