package org.torchserve.rollout.management;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.pytorch.serve.servingsdk.Context;
import org.pytorch.serve.servingsdk.ModelServerEndpoint;
import org.pytorch.serve.servingsdk.annotations.Endpoint;
import org.pytorch.serve.servingsdk.annotations.helpers.EndpointTypes;
import org.pytorch.serve.servingsdk.http.Request;
import org.pytorch.serve.servingsdk.http.Response;
import org.torchserve.rollout.gateway.Gateway;
import org.torchserve.rollout.routing.InvalidPolicyException;
import org.torchserve.rollout.routing.PolicyConflictException;
import org.torchserve.rollout.routing.PolicyInForce;
import org.torchserve.rollout.routing.PolicyParser;
import org.torchserve.rollout.routing.TrafficPolicy;

/** {@code /traffic} on the management port; docs/reference/traffic-api.md. TorchServe runs it on a pool, not on its network threads. */
@Endpoint(
        urlPattern = "traffic",
        endpointType = EndpointTypes.MANAGEMENT,
        description = "Traffic policies: which version of a model answers which share of its requests")
public final class TrafficEndpoint extends ModelServerEndpoint {
    private static final String HINT = "GET /traffic[/{model}], PUT /traffic/{model}, DELETE /traffic/{model}?epoch=N";

    private final Gateway gateway = Gateway.instance();

    /** Being loaded as a plugin is also what starts the gateway. */
    public TrafficEndpoint() {
        gateway.startOnce();
    }

    @Override
    public void doGet(Request request, Response response, Context context) throws IOException {
        String model = JsonReply.segment(request);
        if (JsonReply.isTooDeep(request)) {
            notFound(response, "There is no such path. " + HINT);
        } else if (model == null) {
            List<Object> policies = new ArrayList<>();
            gateway.policies().all().forEach(each -> policies.add(describe(each)));
            JsonReply.send(response, 200, Map.of("policies", policies));
        } else {
            sendOrNotFound(response, model, gateway.policies().get(model));
        }
    }

    @Override
    public void doPut(Request request, Response response, Context context) throws IOException {
        String model = modelToChange(request, response);
        if (model == null) {
            return;
        }
        try {
            TrafficPolicy policy = PolicyParser.parse(model, request.getParameterMap(), gateway.versions());
            JsonReply.send(response, 200, describe(gateway.policies().put(policy)));
        } catch (InvalidPolicyException invalid) {
            refuse(response, invalid);
        } catch (PolicyConflictException conflict) {
            JsonReply.error(response, 409, conflict.type(), conflict.getMessage());
        }
    }

    @Override
    public void doDelete(Request request, Response response, Context context) throws IOException {
        String model = modelToChange(request, response);
        if (model == null) {
            return;
        }
        try {
            long epoch = PolicyParser.parseEpoch(request.getParameterMap());
            sendOrNotFound(response, model, gateway.policies().remove(model, epoch));
        } catch (InvalidPolicyException invalid) {
            refuse(response, invalid);
        } catch (PolicyConflictException conflict) {
            JsonReply.error(response, 409, conflict.type(), conflict.getMessage());
        }
    }

    @Override
    public void doPost(Request request, Response response, Context context) throws IOException {
        JsonReply.methodNotAllowed(response, HINT);
    }

    private static String modelToChange(Request request, Response response) throws IOException {
        String model = JsonReply.segment(request);
        if (model == null) {
            JsonReply.methodNotAllowed(response, HINT);
        } else if (JsonReply.isTooDeep(request)) {
            notFound(response, "There is no such path. " + HINT);
            return null;
        }
        return model;
    }

    private static void refuse(Response response, InvalidPolicyException invalid) throws IOException {
        if (invalid.isOnlyUnknown()) {
            notFound(response, invalid.getMessage());
        } else {
            JsonReply.error(response, 400, "InvalidPolicyException", invalid.getMessage());
        }
    }

    private static void notFound(Response response, String message) throws IOException {
        JsonReply.error(response, 404, "ResourceNotFoundException", message);
    }

    private void sendOrNotFound(Response response, String model, PolicyInForce policy) throws IOException {
        if (policy == null) {
            notFound(
                    response,
                    "Model " + model + " has no traffic policy; its requests go to TorchServe's default version.");
        } else {
            JsonReply.send(response, 200, describe(policy));
        }
    }

    private Map<String, Object> describe(PolicyInForce inForce) {
        long now = System.nanoTime();
        TrafficPolicy policy = inForce.policy();
        Map<String, Object> breaker = new LinkedHashMap<>();
        breaker.put("consecutive", policy.breaker().consecutive());
        breaker.put("window", policy.breaker().window());
        breaker.put("window_failures", policy.breaker().windowFailures());
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("model", policy.model());
        described.put("epoch", policy.epoch());
        described.put("stable", policy.stable());
        described.put("weights", policy.weights());
        described.put("failover", policy.failover() ? "stable" : "none");
        described.put("candidate_deadline_s", policy.candidateDeadlineS());
        described.put("stable_deadline_s", policy.stableDeadlineS());
        described.put("breaker", breaker);
        described.put("sticky", policy.sticky() == null ? null : policy.sticky().toString());
        described.put("cohort", policy.cohort() == null ? null : policy.cohort().toString());
        described.put("max_requests", policy.maxRequests());
        described.put("replay_budget", policy.replayBudgetPct());
        described.put("replay_budget_min", policy.replayBudgetMin());
        described.put("mirror", policy.mirror());
        described.put("lease_s", inForce.leaseS());
        described.put("lease_remaining_s", inForce.leaseRemainingS(now));
        described.put("lease_valid", inForce.isLeaseValid(now));
        described.put("effective_weights", inForce.effectiveWeights(now));
        described.put("breakers_open", breakersOpen(inForce, now));
        described.put("exposed", inForce.exposed());
        described.put("in_flight", inFlight(inForce.policy()));
        return described;
    }

    private static Map<String, Object> breakersOpen(PolicyInForce inForce, long now) {
        Map<String, Object> open = new LinkedHashMap<>();
        inForce.breakers()
                .forEach(
                        (version, breaker) -> {
                            if (breaker.isOpen()) {
                                double sinceS = (now - breaker.trip().atNanos()) / 1e9;
                                open.put(
                                        version,
                                        Map.of("reason", breaker.trip().reason(), "since_s", Math.max(0, sinceS)));
                            }
                        });
        return open;
    }

    private Map<String, Integer> inFlight(TrafficPolicy policy) {
        Map<String, Integer> counts = new LinkedHashMap<>();
        counts.put(policy.stable(), 0);
        policy.weights().keySet().forEach(version -> counts.put(version, 0));
        policy.mirror().keySet().forEach(version -> counts.put(version, 0));
        counts.putAll(gateway.exchanges().inFlight().getOrDefault(policy.model(), Map.of()));
        return counts;
    }
}
