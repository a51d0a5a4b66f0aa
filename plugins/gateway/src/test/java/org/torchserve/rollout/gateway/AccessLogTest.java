package org.torchserve.rollout.gateway;

import static org.junit.Assert.assertEquals;

import java.time.Instant;
import java.util.Map;
import org.junit.Test;
import org.torchserve.rollout.routing.Answer;
import org.torchserve.rollout.routing.Conclusion;
import org.torchserve.rollout.routing.Outcome;
import org.torchserve.rollout.routing.Role;
import org.torchserve.rollout.routing.Route;

public class AccessLogTest {
    private static String line(Map<String, String> headers) {
        Route route = new Route("m", "1.0", Role.FAILOVER, null, 0);
        Answer last = new Answer(200, null, null, headers, new byte[0], Answer.Part.WHOLE);
        Conclusion conclusion = new Conclusion("id", route, Outcome.OK, 200, 2, 1_500_000_000L, last);
        return AccessLog.line(conclusion, Instant.ofEpochSecond(1));
    }

    @Test
    public void aRequestIsOneLineOfJson() {
        String expected =
                "{'time':'1970-01-01T00:00:01Z','request_id':'id','model':'m','version':'1.0','role':'failover',"
                        + "'outcome':'ok','status':200,'latency_s':1.5,'attempts':2}";
        assertEquals(expected.replace('\'', '"'), line(null));
        assertEquals(expected.replace('\'', '"'), line(Map.of("x-prompt-tokens", "many")));
    }

    @Test
    public void tokensAreToldWhereTheHandlerCountsThem() {
        assertEquals(true, line(Map.of("x-generated-tokens", "7")).endsWith("\"attempts\":2,\"generated_tokens\":7}"));
    }
}
