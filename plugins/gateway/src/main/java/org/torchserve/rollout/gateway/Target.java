package org.torchserve.rollout.gateway;

import io.netty.handler.codec.http.QueryStringDecoder;
import java.util.Arrays;
import java.util.List;

/**
 * What an inference path asks for; the routes of TorchServe's InferenceRequestHandler, and those of OpenAI and KServe.
 *
 * @param model may be null: it is then to be found in the body, see {@link #isOpenAi}
 * @param version named in the path, or null
 * @param explain value for the handler's {@code explain} header, or null for routes that set none
 * @param urlPath value for the handler's {@code url_path} header, or null for routes that set none
 * @param withQuery whether the handler gets the query parameters as input
 */
record Target(String model, String version, String explain, String urlPath, boolean withQuery) {

    /** True if the body is in OpenAI's words and names the model. */
    boolean isOpenAi() {
        return model == null && urlPath != null;
    }

    /** The target of a path split at its slashes, or null if it is none of an inference. */
    static Target of(String[] segments, QueryStringDecoder decoder) {
        if (segments.length < 2) {
            return null;
        }
        switch (segments[1]) {
            case "ping":
            case "api-description":
                return null;
            case "predictions":
                return segments.length < 3 ? null : prediction(segments, "False");
            case "explanations":
                return segments.length < 3 ? null : prediction(segments, "True");
            case "invocations":
                return segments.length == 2 ? new Target(modelName(decoder), null, null, null, true) : null;
            case "models":
                boolean invoke = segments.length == 4 && segments[3].equals("invoke");
                return invoke ? new Target(segments[2], null, null, null, true) : null;
            default:
                String openAi = OpenAiRoutes.inference(segments);
                if (openAi != null) {
                    return new Target(null, null, "False", openAi, false);
                }
                Target kserve = kserve(segments);
                return kserve != null ? kserve : legacy(segments);
        }
    }

    private static Target prediction(String[] segments, String explain) {
        String version = segments.length > 3 ? segments[3] : null;
        String rest =
                segments.length > 4 ? String.join("/", Arrays.copyOfRange(segments, 4, segments.length)) : "";
        return new Target(segments[2], version, explain, rest, false);
    }

    private static Target kserve(String[] segments) {
        boolean models = segments.length > 3 && segments[2].equals("models");
        if (models && segments.length == 4 && segments[1].equals("v1")) {
            String last = segments[3];
            String explain = last.contains(":predict") ? "False" : last.contains(":explain") ? "True" : null;
            return explain == null ? null : kserve(last, null, explain);
        }
        // TorchServe has no way to name a version here; KServe's protocol has, and its clients use it.
        boolean named = segments.length == 7 && segments[4].equals("versions");
        if (models && segments[1].equals("v2") && (segments.length == 5 || named)) {
            String verb = segments[segments.length - 1];
            String explain = verb.equals("infer") ? "False" : verb.equals("explain") ? "True" : null;
            return explain == null ? null : kserve(segments[3], named ? segments[5] : null, explain);
        }
        return null;
    }

    private static Target kserve(String modelAndVerb, String version, String explain) {
        return new Target(modelAndVerb.split(":")[0], version, explain, null, false);
    }

    private static Target legacy(String[] segments) {
        if (segments.length == 3 && segments[2].equals("predict")) {
            return new Target(segments[1], null, null, null, true);
        }
        if (segments.length == 4 && segments[3].equals("predict")) {
            return new Target(segments[1], segments[2], null, null, true);
        }
        return null;
    }

    private static String modelName(QueryStringDecoder decoder) {
        List<String> names = decoder.parameters().get("model_name");
        return names == null || names.get(0).isEmpty() ? null : names.get(0);
    }
}
