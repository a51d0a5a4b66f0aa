package org.torchserve.rollout.management;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
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
import org.torchserve.rollout.routing.MirrorHalf;
import org.torchserve.rollout.routing.MirrorPair;
import org.torchserve.rollout.routing.MirrorPairs;

/** {@code /mirror} on the management port: the pairs of answers to mirrored requests; docs/reference/traffic-api.md. */
@Endpoint(
        urlPattern = "mirror",
        endpointType = EndpointTypes.MANAGEMENT,
        description = "Mirrored requests: what two versions answered to the same request")
public final class MirrorEndpoint extends ModelServerEndpoint {
    private static final String HINT = "GET /mirror/{model}[?after=SEQUENCE&limit=N&bodies=false]";
    private static final int DEFAULT_LIMIT = 100;

    @Override
    public void doGet(Request request, Response response, Context context) throws IOException {
        String model = JsonReply.segment(request);
        long after = number(request, "after", 0);
        long limit = number(request, "limit", DEFAULT_LIMIT);
        if (model == null || JsonReply.isTooDeep(request)) {
            JsonReply.error(response, 404, "ResourceNotFoundException", "There is no such path. " + HINT);
        } else if (after < 0 || limit < 1) {
            JsonReply.error(
                    response, 400, "BadRequestException", "after is a number from 0, limit one from 1. " + HINT);
        } else {
            MirrorPairs pairs = Gateway.instance().mirror().pairs(model);
            MirrorPairs.Page page =
                    pairs == null
                            ? new MirrorPairs.Page(List.of(), 0, 0)
                            : pairs.after(after, (int) Math.min(limit, MirrorPairs.CAPACITY));
            JsonReply.send(response, 200, describe(model, page, wantsBodies(request)));
        }
    }

    @Override
    public void doPut(Request request, Response response, Context context) throws IOException {
        JsonReply.methodNotAllowed(response, HINT);
    }

    @Override
    public void doPost(Request request, Response response, Context context) throws IOException {
        JsonReply.methodNotAllowed(response, HINT);
    }

    @Override
    public void doDelete(Request request, Response response, Context context) throws IOException {
        JsonReply.methodNotAllowed(response, HINT);
    }

    /** The parameter, {@code otherwise} without it, or -1 if it is no whole number. */
    private static long number(Request request, String name, long otherwise) {
        List<String> values = request.getParameter(name);
        try {
            return values == null ? otherwise : Long.parseLong(values.get(0));
        } catch (NumberFormatException notANumber) {
            return -1;
        }
    }

    private static boolean wantsBodies(Request request) {
        List<String> values = request.getParameter("bodies");
        return values == null || !"false".equals(values.get(0));
    }

    private static Map<String, Object> describe(String model, MirrorPairs.Page page, boolean withBodies) {
        List<Object> pairs = new ArrayList<>();
        page.pairs().forEach(pair -> pairs.add(describe(pair, withBodies)));
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("model", model);
        described.put("newest", page.newest());
        described.put("lost", page.lost());
        described.put("pairs", pairs);
        return described;
    }

    private static Map<String, Object> describe(MirrorPair pair, boolean withBodies) {
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("sequence", pair.sequence());
        described.put("request_id", pair.requestId());
        described.put("at_s", pair.atMillis() / 1e3);
        described.put("same_body", Arrays.equals(pair.primary().body(), pair.shadow().body()));
        described.put("primary", describe(pair.primary(), withBodies));
        described.put("shadow", describe(pair.shadow(), withBodies));
        return described;
    }

    private static Map<String, Object> describe(MirrorHalf half, boolean withBody) {
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("version", half.version());
        described.put("status", half.status());
        described.put("outcome", half.outcome().label());
        described.put("latency_s", half.latencyS());
        described.put("failover", half.isFailover());
        described.put("complete", half.isComplete());
        described.put("truncated", half.isTruncated());
        if (!withBody) {
            return described;
        }
        String text = text(half.body(), half.isTruncated());
        described.put("encoding", text == null ? "base64" : "utf-8");
        described.put("body", text == null ? Base64.getEncoder().encodeToString(half.body()) : text);
        return described;
    }

    /** The body if it is text, else null; a character that was cut off is left out. */
    private static String text(byte[] body, boolean isTruncated) {
        int mayBeCut = isTruncated ? Math.min(3, body.length) : 0;
        for (int cut = 0; cut <= mayBeCut; cut++) {
            try {
                return StandardCharsets.UTF_8
                        .newDecoder()
                        .decode(ByteBuffer.wrap(body, 0, body.length - cut))
                        .toString();
            } catch (CharacterCodingException noText) {
                // one byte less, as long as a character may have been cut off
            }
        }
        return null;
    }
}
