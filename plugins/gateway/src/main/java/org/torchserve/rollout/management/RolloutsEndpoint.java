package org.torchserve.rollout.management;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.pytorch.serve.servingsdk.Context;
import org.pytorch.serve.servingsdk.ModelServerEndpoint;
import org.pytorch.serve.servingsdk.annotations.Endpoint;
import org.pytorch.serve.servingsdk.annotations.helpers.EndpointTypes;
import org.pytorch.serve.servingsdk.http.Request;
import org.pytorch.serve.servingsdk.http.Response;
import org.torchserve.rollout.gateway.GatewayConfig;
import org.torchserve.rollout.gateway.ManagementKey;

/** {@code /rollouts} on the management port: passes the request to the controller, and its answer back as it is. */
@Endpoint(
        urlPattern = "rollouts",
        endpointType = EndpointTypes.MANAGEMENT,
        description = "Rollouts: start, look at, pause, resume, promote, abort, roll back")
public final class RolloutsEndpoint extends ModelServerEndpoint {
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(2);
    private static final Duration ANSWER_TIMEOUT = Duration.ofSeconds(30);
    private static final Set<String> ACTIONS = Set.of("pause", "resume", "promote", "abort", "rollback");
    private static final String HINT =
            "GET /rollouts[/{model}], POST /rollouts/{model}?version=V&spec=S,"
                    + " PUT /rollouts/{model}?action=pause|resume|promote|abort|rollback[&reason=R]";

    // HTTP/1.1: the controller speaks nothing else, and logs every offer of an upgrade.
    private static final HttpClient CLIENT =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(CONNECT_TIMEOUT).build();

    @Override
    public void doGet(Request request, Response response, Context context) throws IOException {
        String model = JsonReply.segment(request);
        if (JsonReply.isTooDeep(request)) {
            JsonReply.error(response, 404, "ResourceNotFoundException", "There is no such path. " + HINT);
        } else {
            forward(response, "GET", model == null ? "" : "/" + encode(model), null);
        }
    }

    @Override
    public void doPost(Request request, Response response, Context context) throws IOException {
        String model = JsonReply.segment(request);
        String version = parameter(request, "version");
        if (model == null || JsonReply.isTooDeep(request)) {
            JsonReply.methodNotAllowed(response, HINT);
        } else if (version == null) {
            badRequest(response, "Parameter version is required: the registered or packaged version to roll out.");
        } else {
            JsonObject body = new JsonObject();
            body.addProperty("model", model);
            body.addProperty("version", version);
            if (parameter(request, "spec") != null) {
                body.addProperty("spec", parameter(request, "spec"));
            }
            forward(response, "POST", "", body);
        }
    }

    @Override
    public void doPut(Request request, Response response, Context context) throws IOException {
        String model = JsonReply.segment(request);
        String action = parameter(request, "action");
        if (model == null || JsonReply.isTooDeep(request)) {
            JsonReply.methodNotAllowed(response, HINT);
        } else if (action == null || !ACTIONS.contains(action)) {
            badRequest(response, "Parameter action is " + action + ", not pause, resume, promote, abort or rollback.");
        } else {
            JsonObject body = new JsonObject();
            body.addProperty("reason", parameter(request, "reason"));
            body.addProperty("actor", "management-api");
            forward(response, "POST", "/" + encode(model) + "/" + action, body);
        }
    }

    @Override
    public void doDelete(Request request, Response response, Context context) throws IOException {
        JsonReply.methodNotAllowed(response, HINT);
    }

    private static void forward(Response response, String method, String path, JsonObject body) throws IOException {
        String address = GatewayConfig.controllerAddress();
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create(address + "/api/v1/rollouts" + path)).timeout(ANSWER_TIMEOUT);
        String key = ManagementKey.read();
        if (key != null) {
            request.header("Authorization", "Bearer " + key);
        }
        if (body == null) {
            request.method(method, HttpRequest.BodyPublishers.noBody());
        } else {
            request.header("Content-Type", "application/json");
            request.method(method, HttpRequest.BodyPublishers.ofString(body.toString()));
        }
        try {
            HttpResponse<String> answer = CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofString());
            JsonReply.sendText(response, answer.statusCode(), answer.body());
        } catch (IOException away) {
            unavailable(response, address, String.valueOf(away.getMessage()));
        } catch (InterruptedException shutdown) {
            Thread.currentThread().interrupt();
            unavailable(response, address, "TorchServe is stopping");
        }
    }

    private static void unavailable(Response response, String address, String cause) throws IOException {
        JsonReply.error(
                response,
                503,
                "ServiceUnavailableException",
                String.format(
                        "The rollout controller at %s does not answer (%s). Traffic is not affected; GET /traffic shows it."
                                + " Check rollout_controller (now: %s) and rollout_controller_address in config.properties,"
                                + " and the lines of the controller in the TorchServe log.",
                        address, cause, GatewayConfig.controller()));
    }

    private static void badRequest(Response response, String message) throws IOException {
        JsonReply.error(response, 400, "BadRequestException", message);
    }

    private static String parameter(Request request, String name) {
        List<String> values = request.getParameter(name);
        return values == null || values.get(0).isEmpty() ? null : values.get(0);
    }

    private static String encode(String segment) {
        return URLEncoder.encode(segment, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
