package org.torchserve.rollout.gateway;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.charset.StandardCharsets;
import org.junit.Test;
import org.pytorch.serve.http.BadRequestException;
import org.torchserve.rollout.routing.Problem;

public class OpenAiRoutesTest {
    private static String modelIn(String json) {
        ByteBuf body = Unpooled.copiedBuffer(json, StandardCharsets.UTF_8);
        String model = OpenAiRoutes.modelIn(body);
        assertEquals("the body is still to be read by the handler", json.length(), body.readableBytes());
        return model;
    }

    @Test
    public void theModelIsFoundWhereverItStands() {
        assertEquals("m", modelIn("{\"model\": \"m\"}"));
        assertEquals("m", modelIn("{\"messages\": [{\"model\": \"x\"}], \"n\": 1, \"model\": \"m\", broken"));
    }

    @Test
    public void aBodyWithoutAModelIsRefusedAndSaysWhatIsWanted() {
        for (String body : new String[] {"", "x", "[]", "{", "{}", "{\"model\": 1}", "{\"model\": null}", "\u0000"}) {
            BadRequestException refused = assertThrows(body, BadRequestException.class, () -> modelIn(body));
            assertTrue(refused.getMessage(), refused.getMessage().contains("name of a model in \"model\""));
        }
    }

    @Test
    public void errorsAreInTheShapeThatOpenAiClientsRead() {
        JsonObject unknown = error(new Problem(404, "ModelNotFoundException", "no m"));
        assertEquals("no m", unknown.get("message").getAsString());
        assertEquals("invalid_request_error", unknown.get("type").getAsString());
        assertEquals("model_not_found", unknown.get("code").getAsString());
        JsonObject late = error(new Problem(504, "GatewayTimeoutException", "late"));
        assertEquals("server_error", late.get("type").getAsString());
        assertEquals("GatewayTimeoutException", late.get("code").getAsString());
    }

    private static JsonObject error(Problem problem) {
        return JsonParser.parseString(ErrorForm.OPENAI.json(problem)).getAsJsonObject().getAsJsonObject("error");
    }
}
