package org.torchserve.rollout.gateway;

import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import org.pytorch.serve.http.ErrorResponse;
import org.pytorch.serve.util.JsonUtils;
import org.torchserve.rollout.routing.Problem;

/** How an error looks in JSON: as the API has it that the caller speaks. */
enum ErrorForm {
    TORCHSERVE {
        @Override
        String json(Problem problem) {
            return JsonUtils.GSON_PRETTY.toJson(
                    new ErrorResponse(problem.status(), problem.type(), problem.message()));
        }
    },
    OPENAI {
        @Override
        String json(Problem problem) {
            JsonObject error = new JsonObject();
            error.addProperty("message", problem.message());
            error.addProperty("type", problem.status() < 500 ? "invalid_request_error" : "server_error");
            error.add("param", JsonNull.INSTANCE);
            error.addProperty("code", code(problem));
            JsonObject body = new JsonObject();
            body.add("error", error);
            return body.toString();
        }

        /** OpenAI's own codes where it has one: clients compare them. */
        private String code(Problem problem) {
            switch (problem.type()) {
                case "ModelNotFoundException":
                case "ModelVersionNotFoundException":
                    return "model_not_found";
                case "InvalidKeyException":
                    return "invalid_api_key";
                default:
                    return problem.type();
            }
        }
    };

    abstract String json(Problem problem);
}
