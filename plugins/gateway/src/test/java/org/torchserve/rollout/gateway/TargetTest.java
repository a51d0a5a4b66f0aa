package org.torchserve.rollout.gateway;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;

import io.netty.handler.codec.http.QueryStringDecoder;
import org.junit.Test;

public class TargetTest {
    private static Target of(String uri) {
        QueryStringDecoder decoder = new QueryStringDecoder(uri);
        return Target.of(decoder.path().split("/"), decoder);
    }

    @Test
    public void everyWayIntoAnInferenceIsUnderstood() {
        assertEquals(new Target("m", null, "False", "", false), of("/predictions/m"));
        assertEquals(new Target("m", "2.0", "False", "", false), of("/predictions/m/2.0"));
        assertEquals(new Target("m", "2.0", "False", "v1/chat", false), of("/predictions/m/2.0/v1/chat"));
        assertEquals(new Target("m", null, "True", "", false), of("/explanations/m"));
        assertEquals(new Target("m", "2.0", "True", "", false), of("/explanations/m/2.0"));
        assertEquals(new Target("m", null, null, null, true), of("/m/predict"));
        assertEquals(new Target("m", "2.0", null, null, true), of("/m/2.0/predict"));
        assertEquals(new Target("m", null, null, null, true), of("/invocations?model_name=m"));
        assertEquals(new Target(null, null, null, null, true), of("/invocations"));
        assertEquals(new Target("m", null, null, null, true), of("/models/m/invoke"));
        assertEquals(new Target("m", null, "False", null, false), of("/v1/models/m:predict"));
        assertEquals(new Target("m", null, "True", null, false), of("/v1/models/m:explain"));
        assertEquals(new Target("m", null, "False", null, false), of("/v2/models/m/infer"));
        assertEquals(new Target("m", null, "True", null, false), of("/v2/models/m/explain"));
        assertEquals(new Target("m", "2.0", "False", null, false), of("/v2/models/m/versions/2.0/infer"));
        assertEquals(new Target("m x", null, "False", "", false), of("/predictions/m%20x"));
        assertEquals(new Target(null, null, "False", "v1/completions", false), of("/v1/completions"));
        assertEquals(new Target(null, null, "False", "v1/chat/completions", false), of("/v1/chat/completions"));
    }

    @Test
    public void everythingElseIsLeftToTorchServe() {
        for (String uri :
                new String[] {
                    "/", "/ping", "/ping/predict", "/api-description", "/predictions", "/explanations", "/models/m",
                    "/models/m/predict", "/v1/models", "/v1/models/m", "/v1/chat", "/v1/chat/other", "/v2/models/m", "/v2/models/m/versions/2.0", "/v2/models/m/versions/2.0/ready",
                    "/v2/health/live",
                    "/wfpredict/w", "/nonsense", "/invocations/m"
                }) {
            assertNull(uri, of(uri));
        }
    }
}
