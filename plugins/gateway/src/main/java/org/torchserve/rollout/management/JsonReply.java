package org.torchserve.rollout.management;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import io.netty.handler.codec.http.QueryStringDecoder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.pytorch.serve.http.ErrorResponse;
import org.pytorch.serve.servingsdk.http.Request;
import org.pytorch.serve.servingsdk.http.Response;

/** Answers of the management endpoints: JSON, errors in TorchServe's shape. */
final class JsonReply {
    private static final Gson GSON = new GsonBuilder().setPrettyPrinting().serializeNulls().create();

    private JsonReply() {}

    static void send(Response response, int status, Object content) throws IOException {
        sendText(response, status, GSON.toJson(content) + "\n");
    }

    static void sendText(Response response, int status, String json) throws IOException {
        response.setStatus(status);
        response.setContentType("application/json");
        response.getOutputStream().write(json.getBytes(StandardCharsets.UTF_8));
    }

    static void error(Response response, int status, String type, String message) throws IOException {
        send(response, status, new ErrorResponse(status, type, message));
    }

    static void methodNotAllowed(Response response, String hint) throws IOException {
        error(response, 405, "MethodNotAllowedException", "Requested method is not allowed here. " + hint);
    }

    /** The path's segment after the endpoint's own, decoded; null if there is none. */
    static String segment(Request request) {
        String[] segments = new QueryStringDecoder(request.getRequestURI()).path().split("/");
        return segments.length > 2 && !segments[2].isEmpty() ? segments[2] : null;
    }

    /** True if the path has more segments than an endpoint knows. */
    static boolean isTooDeep(Request request) {
        return new QueryStringDecoder(request.getRequestURI()).path().split("/").length > 3;
    }
}
