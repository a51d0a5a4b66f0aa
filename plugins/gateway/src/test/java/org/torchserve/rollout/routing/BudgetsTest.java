package org.torchserve.rollout.routing;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.util.Map;
import java.util.Random;
import org.junit.Test;

/** How much a candidate may get, how much stable may replay, and who gets the candidate in any case. */
public class BudgetsTest {
    private long nowNanos = -5 * Policies.SECOND;

    private PolicyInForce inForce(String more) {
        return new PolicyInForce(Policies.policy("epoch=1&stable=1.0&lease_s=3600&" + more), nowNanos);
    }

    private String choose(PolicyInForce policy) {
        return policy.choose(Sender.UNKNOWN, () -> 0.0, nowNanos);
    }

    private static Sender sending(String header, String value) {
        return new Sender() {
            @Override
            public String key(StickyKey where) {
                return null;
            }

            @Override
            public String header(String name) {
                return name.equals(header) ? value : null;
            }
        };
    }

    @Test
    public void afterItsLastRequestACandidateGetsNoMore() {
        PolicyInForce policy = inForce("weights=2.0:50,3.0:50&max_requests=3");
        for (int i = 0; i < 3; i++) {
            assertEquals("2.0", choose(policy));
            assertEquals("3.0", policy.choose(Sender.UNKNOWN, () -> 0.7, nowNanos));
        }
        assertEquals(Map.of("1.0", 100.0, "2.0", 0.0, "3.0", 0.0), policy.effectiveWeights(nowNanos));
        for (int i = 0; i < 10; i++) {
            assertEquals("1.0", choose(policy));
        }
        assertEquals(Map.of("2.0", 3L, "3.0", 3L), policy.exposed());
    }

    @Test
    public void withoutALimitACandidateGoesOn() {
        PolicyInForce policy = inForce("weights=2.0:100");
        for (int i = 0; i < 10_000; i++) {
            assertEquals("2.0", choose(policy));
        }
        assertEquals(Map.of("2.0", 10_000L), policy.exposed());
    }

    @Test
    public void theCohortGetsTheCandidateWhateverItsWeight() {
        PolicyInForce policy = inForce("weights=2.0:0&cohort=header:x-user-group=internal=yes");
        Sender tester = sending("x-user-group", "internal=yes");
        assertEquals("2.0", policy.choose(tester, () -> 0.99, nowNanos));
        assertEquals("1.0", policy.choose(sending("x-user-group", "internal"), () -> 0.0, nowNanos));
        assertEquals("1.0", choose(policy));
        policy.breaker("2.0").trip("for a test", nowNanos);
        assertEquals("1.0", policy.choose(tester, () -> 0.99, nowNanos));
    }

    @Test
    public void aCohortWithoutACandidateIsServedByStable() {
        PolicyInForce policy = inForce("cohort=header:a=b");
        assertEquals("1.0", policy.choose(sending("a", "b"), () -> 0.0, nowNanos));
    }

    @Test
    public void replaysWithinTheirShareGoOnForEver() {
        PolicyInForce policy = inForce("weights=2.0:50&replay_budget=20&replay_budget_min=5");
        for (int i = 0; i < 5_000; i++) {
            nowNanos += Policies.SECOND / 100;
            choose(policy);
            if (i % 6 == 5) {
                assertNull(policy.replayed("2.0", nowNanos));
            }
        }
        assertFalse(policy.breaker("2.0").isOpen());
    }

    @Test
    public void replaysBeyondTheirShareTakeTheCandidateOut() {
        PolicyInForce policy = inForce("weights=2.0:100&replay_budget=20&replay_budget_min=5");
        Breaker.Trip trip = null;
        int replays = 0;
        for (int i = 0; trip == null; i++) {
            nowNanos += Policies.SECOND / 100;
            assertEquals("2.0", choose(policy));
            if (i % 4 == 3) {
                trip = policy.replayed("2.0", nowNanos);
                replays++;
            }
        }
        assertEquals("a quarter was replayed: after the first five, it was too much", 6, replays);
        assertEquals("replay budget spent: 6 of 24 requests of the last 10 s were replayed on stable", trip.reason());
        assertEquals("1.0", choose(policy));
        assertNull("it trips once", policy.replayed("2.0", nowNanos));
    }

    @Test
    public void whatWasReplayedLongAgoIsForgotten() {
        ReplayBudget budget = new ReplayBudget(0, 3);
        for (int round = 0; round < 100; round++) {
            for (int i = 0; i < 3; i++) {
                assertNull(budget.replay(nowNanos));
            }
            nowNanos += ReplayBudget.WINDOW_S * Policies.SECOND;
        }
        nowNanos -= Policies.SECOND;
        assertNotNull(budget.replay(nowNanos));
    }

    @Test
    public void theWindowHoldsWhatASimpleCountOfTheLastTenSecondsHolds() {
        Random random = new Random(7);
        ReplayBudget budget = new ReplayBudget(100, 0);
        int[] requests = new int[1000];
        int[] replays = new int[1000];
        int second = 0;
        for (int i = 0; i < 3_000; i++) {
            second += random.nextInt(20) == 0 ? random.nextInt(15) : 0;
            if (second >= 1000) {
                break;
            }
            long now = second * Policies.SECOND + random.nextInt(1_000_000);
            if (random.nextBoolean()) {
                requests[second]++;
                budget.request(now);
            } else {
                replays[second]++;
                long all = 0;
                long replayed = 0;
                for (int each = Math.max(0, second - ReplayBudget.WINDOW_S + 1); each <= second; each++) {
                    all += requests[each];
                    replayed += replays[each];
                }
                assertEquals(replayed <= all, budget.replay(now) == null);
            }
        }
        assertTrue(second > 100);
    }
}
