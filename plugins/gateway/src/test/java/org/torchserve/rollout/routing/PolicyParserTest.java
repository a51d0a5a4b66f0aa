package org.torchserve.rollout.routing;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.Test;

public class PolicyParserTest {
    private static final Versions VERSIONS = new Policies.Registered("1.0", "2.0", "3.0");

    private static InvalidPolicyException refused(String query) {
        return assertThrows(
                InvalidPolicyException.class, () -> PolicyParser.parse("m", Policies.query(query), VERSIONS));
    }

    @Test
    public void theDefaultsAreThoseOfTheReference() {
        TrafficPolicy policy = Policies.policy("epoch=1&stable=1.0");
        assertEquals(Map.of(), policy.weights());
        assertTrue(policy.failover());
        assertEquals(30, policy.candidateDeadlineS(), 0);
        assertEquals(60, policy.stableDeadlineS(), 0);
        assertEquals(10, policy.leaseS(), 0);
        assertEquals(new BreakerSettings(5, 20, 10), policy.breaker());
        assertNull(policy.sticky());
        assertNull(policy.cohort());
        assertEquals(0, policy.maxRequests());
        assertEquals(20, policy.replayBudgetPct(), 0);
        assertEquals(20, policy.replayBudgetMin());
    }

    @Test
    public void everyParameterIsRead() {
        TrafficPolicy policy =
                Policies.policy(
                        "epoch=7&stable=1.0&weights=2.0:5,3.0:0.5&lease_s=2.5&failover=none&candidate_deadline_s=0.2"
                                + "&stable_deadline_s=3&breaker_consecutive=0&breaker_window=8&breaker_window_failures=4"
                                + "&sticky=cookie:user&cohort=header:x-user-group=internal&max_requests=500&replay_budget=12.5"
                                + "&replay_budget_min=0");
        assertEquals(7, policy.epoch());
        assertEquals(Map.of("2.0", 5.0, "3.0", 0.5), policy.weights());
        assertFalse(policy.failover());
        assertEquals(0.2, policy.candidateDeadlineS(), 0);
        assertEquals(3, policy.stableDeadlineS(), 0);
        assertEquals(2.5, policy.leaseS(), 0);
        assertEquals(new BreakerSettings(0, 8, 4), policy.breaker());
        assertEquals(new StickyKey(StickyKey.Place.COOKIE, "user"), policy.sticky());
        assertEquals(new Cohort("x-user-group", "internal"), policy.cohort());
        assertEquals(500, policy.maxRequests());
        assertEquals(12.5, policy.replayBudgetPct(), 0);
        assertEquals(0, policy.replayBudgetMin());
    }

    @Test
    public void allProblemsAreReportedAtOnce() {
        String message =
                refused(
                                "epoch=-1&weights=2.0:abc,3.0:70,1.0:40,3.0:1&lease_s=Infinity&failover=maybe"
                                        + "&candidate_deadline_s=0&stable_deadline_s=1d&breaker_consecutive=1.5"
                                        + "&breaker_window=0&sticky=body:x&cohort=header:a&max_requests=-1"
                                        + "&replay_budget=101&replay_budget_min=x&mirror=1.0:5,2.0&colour=red&stable=1.0&stable=2.0")
                        .getMessage();
        for (String part :
                List.of(
                        "epoch is -1",
                        "'2.0:abc'",
                        "1.0 is stable",
                        "3.0 is given twice",
                        "mirror: 1.0 is stable",
                        "mirror: '2.0' is not",
                        "lease_s is Infinity",
                        "failover is maybe",
                        "candidate_deadline_s is 0",
                        "stable_deadline_s is 1d",
                        "breaker_consecutive is 1.5",
                        "breaker_window is 0",
                        "sticky is body:x",
                        "cohort is header:a",
                        "max_requests is -1",
                        "replay_budget is 101",
                        "replay_budget_min is x",
                        "unknown parameter colour",
                        "stable is given 2 times")) {
            assertTrue(part + " in: " + message, message.contains(part));
        }
    }

    @Test
    public void onlyUnknownVersionsIsAnErrorOfItsOwnKind() {
        InvalidPolicyException unknown = refused("epoch=1&stable=8&weights=9:5");
        assertTrue(unknown.isOnlyUnknown());
        assertTrue(unknown.getMessage().contains("version 8") && unknown.getMessage().contains("version 9"));
        assertFalse(refused("epoch=x&stable=8").isOnlyUnknown());
    }

    @Test
    public void sharesOfOneWholeAddUpAndCopiesNeedNot() {
        assertTrue(refused("epoch=1&stable=1.0&weights=2.0:60,3.0:50").getMessage().contains("the sum is 110"));
        TrafficPolicy policy = Policies.policy("epoch=1&stable=1.0&mirror=2.0:100,3.0:0.5");
        assertEquals(Map.of("2.0", 100.0, "3.0", 0.5), policy.mirror());
    }

    @Test
    public void weightsThatAddUpToAHundredInDecimalsAreAccepted() {
        assertEquals(2, Policies.policy("epoch=1&stable=1.0&weights=2.0:33.3,3.0:66.7").weights().size());
    }

    @Test
    public void aBreakerWindowTooSmallForItsLimitIsRefused() {
        assertTrue(refused("epoch=1&stable=1.0&breaker_window=5").getMessage().contains("never open"));
    }

    @Test
    public void randomTextIsParsedOrRefusedButNeverBreaksTheParser() {
        Random random = new Random(4);
        String alphabet = "0123456789.:,-+eE azNI\u00e9\u0000%=&";
        String[] names = {
            "epoch", "stable", "weights", "lease_s", "failover", "candidate_deadline_s", "stable_deadline_s",
            "breaker_consecutive", "breaker_window", "breaker_window_failures", "sticky", "cohort",
            "max_requests", "replay_budget", "replay_budget_min", "mirror", "other"
        };
        for (int round = 0; round < 50_000; round++) {
            Map<String, List<String>> query = new HashMap<>();
            query.put("epoch", List.of("1"));
            query.put("stable", List.of("1.0"));
            for (int i = random.nextInt(5); i >= 0; i--) {
                StringBuilder value = new StringBuilder();
                for (int length = random.nextInt(12); length > 0; length--) {
                    value.append(alphabet.charAt(random.nextInt(alphabet.length())));
                }
                query.put(names[random.nextInt(names.length)], List.of(value.toString()));
            }
            try {
                TrafficPolicy policy = PolicyParser.parse("m", query, VERSIONS);
                double sum = policy.weights().values().stream().mapToDouble(each -> each).sum();
                assertTrue(query.toString(), sum <= 100.0001 && policy.epoch() > 0 && policy.leaseS() > 0);
            } catch (InvalidPolicyException refused) {
                assertFalse(query.toString(), refused.getMessage().isEmpty());
            }
        }
    }
}
