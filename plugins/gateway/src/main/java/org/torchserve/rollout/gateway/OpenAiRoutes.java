package org.torchserve.rollout.gateway;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufInputStream;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.QueryStringDecoder;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.TreeSet;
import org.pytorch.serve.archive.DownloadArchiveException;
import org.pytorch.serve.archive.model.InvalidKeyException;
import org.pytorch.serve.archive.model.ModelException;
import org.pytorch.serve.archive.model.ModelNotFoundException;
import org.pytorch.serve.archive.model.ModelVersionNotFoundException;
import org.pytorch.serve.archive.workflow.WorkflowException;
import org.pytorch.serve.http.BadRequestException;
import org.pytorch.serve.http.HttpRequestHandlerChain;
import org.pytorch.serve.http.ResourceNotFoundException;
import org.pytorch.serve.util.NettyUtils;
import org.pytorch.serve.wlm.ModelManager;
import org.pytorch.serve.wlm.WorkerInitializationException;
import org.torchserve.rollout.routing.Problem;

/**
 * What OpenAI's routes need beside the routing: whatever the rest of the chain throws is answered in OpenAI's shape, and
 * the models are listed. The answers themselves are the handler's, it gets the path as {@code url_path}.
 */
final class OpenAiRoutes {
    private static final long STARTED_S = System.currentTimeMillis() / 1000;

    private OpenAiRoutes() {}

    /** The path without its first slash if it is one of OpenAI's that a model answers, else null. */
    static String inference(String[] segments) {
        boolean v1 = segments.length > 2 && segments[1].equals("v1");
        if (v1 && segments.length == 3 && segments[2].equals("completions")) {
            return "v1/completions";
        }
        boolean chat =
                v1 && segments.length == 4 && segments[2].equals("chat") && segments[3].equals("completions");
        return chat ? "v1/chat/completions" : null;
    }

    /** True for the list of models and for one of them; with a verb behind a colon it is KServe's. */
    private static boolean isModels(String[] segments, HttpMethod method) {
        return HttpMethod.GET.equals(method)
                && (segments.length == 3 || segments.length == 4)
                && segments[1].equals("v1")
                && segments[2].equals("models");
    }

    /** The value of {@code model} in a JSON body; nothing else of it is read. */
    static String modelIn(ByteBuf body) {
        String wanted = "The body must be a JSON object with the name of a model in \"model\"";
        try (JsonReader json =
                new JsonReader(
                        new InputStreamReader(
                                new ByteBufInputStream(body.duplicate()), StandardCharsets.UTF_8))) {
            json.beginObject();
            while (json.hasNext()) {
                if (json.nextName().equals("model") && json.peek() == JsonToken.STRING) {
                    return json.nextString();
                }
                json.skipValue();
            }
        } catch (IOException | IllegalStateException malformed) {
            throw new BadRequestException(wanted + ": " + malformed.getMessage());
        }
        throw new BadRequestException(wanted + ".");
    }

    /** Stands before the token check, so that its refusal is in OpenAI's shape too. */
    static final class Errors extends HttpRequestHandlerChain {
        @Override
        public void handleRequest(
                ChannelHandlerContext ctx, FullHttpRequest request, QueryStringDecoder decoder, String[] segments)
                throws ModelException, DownloadArchiveException, WorkflowException, WorkerInitializationException {
            if (inference(segments) == null && !isModels(segments, request.method())) {
                chain.handleRequest(ctx, request, decoder, segments);
                return;
            }
            try {
                chain.handleRequest(ctx, request, decoder, segments);
            } catch (InvalidKeyException e) {
                refuse(ctx, HttpResponseStatus.UNAUTHORIZED, e);
            } catch (ModelNotFoundException | ModelVersionNotFoundException | ResourceNotFoundException e) {
                refuse(ctx, HttpResponseStatus.NOT_FOUND, e);
            } catch (BadRequestException e) {
                refuse(ctx, HttpResponseStatus.BAD_REQUEST, e);
            }
        }

        private static void refuse(ChannelHandlerContext ctx, HttpResponseStatus status, Exception why) {
            Problem problem = new Problem(status.code(), why.getClass().getSimpleName(), why.getMessage());
            NettyUtils.sendJsonResponse(ctx, ErrorForm.OPENAI.json(problem), status);
        }
    }

    /** Lists what is registered, by the names that requests use. */
    static final class Models extends HttpRequestHandlerChain {
        @Override
        public void handleRequest(
                ChannelHandlerContext ctx, FullHttpRequest request, QueryStringDecoder decoder, String[] segments)
                throws ModelException, DownloadArchiveException, WorkflowException, WorkerInitializationException {
            if (!isModels(segments, request.method())) {
                chain.handleRequest(ctx, request, decoder, segments);
                return;
            }
            Collection<String> names = new TreeSet<>(ModelManager.getInstance().getDefaultModels(true).keySet());
            if (segments.length == 4 && !names.contains(segments[3])) {
                throw new ModelNotFoundException("Model not found: " + segments[3]);
            }
            NettyUtils.sendJsonResponse(
                    ctx, segments.length == 4 ? describe(segments[3]).toString() : list(names).toString());
        }

        private static JsonObject list(Collection<String> names) {
            JsonArray data = new JsonArray();
            names.forEach(name -> data.add(describe(name)));
            JsonObject list = new JsonObject();
            list.addProperty("object", "list");
            list.add("data", data);
            return list;
        }

        private static JsonObject describe(String name) {
            JsonObject model = new JsonObject();
            model.addProperty("id", name);
            model.addProperty("object", "model");
            model.addProperty("created", STARTED_S);
            model.addProperty("owned_by", "torchserve");
            return model;
        }
    }
}
