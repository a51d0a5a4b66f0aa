package org.torchserve.rollout.routing;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNotSame;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.util.Map;
import org.junit.Test;

public class PolicyBookTest {
    // Close to the overflow of nanoTime, which may start anywhere.
    private long nowNanos = Long.MAX_VALUE - Policies.SECOND;
    private final PolicyBook book = new PolicyBook(() -> nowNanos);

    private PolicyInForce put(String policy) throws PolicyConflictException {
        return book.put(Policies.policy(policy));
    }

    @Test
    public void theLeaseRunsOutOnTimeAndSendsEverythingToStable() throws PolicyConflictException {
        PolicyInForce policy = put("epoch=1&stable=1.0&weights=2.0:100&lease_s=2");
        nowNanos += 2 * Policies.SECOND - 1;
        assertEquals("2.0", policy.choose(Sender.UNKNOWN, () -> 0.5, nowNanos));
        nowNanos += 1;
        assertFalse(policy.isLeaseValid(nowNanos));
        assertEquals("1.0", policy.choose(Sender.UNKNOWN, () -> 0.5, nowNanos));
        assertEquals(Map.of("1.0", 100.0, "2.0", 0.0), policy.effectiveWeights(nowNanos));
        assertEquals(0, policy.leaseRemainingS(nowNanos), 0);
    }

    @Test
    public void aPolicyNamesStableItsCandidatesAndItsShadowsUntilItIsRemoved() throws PolicyConflictException {
        put("epoch=1&stable=1.0&weights=2.0:5&mirror=3.0:10");
        for (String version : new String[] {"1.0", "2.0", "3.0"}) {
            assertTrue(version, book.names("m", version));
        }
        assertFalse(book.names("m", "4.0"));
        assertFalse(book.names("other", "1.0"));
        book.remove("m", 1);
        assertFalse(book.names("m", "1.0"));
    }

    @Test
    public void aRenewalExtendsTheLeaseAndLeavesAnOpenBreakerOpen() throws PolicyConflictException {
        PolicyInForce policy = put("epoch=1&stable=1.0&weights=2.0:100&lease_s=2&breaker_consecutive=1");
        policy.breaker("2.0").note(Outcome.MODEL_ERROR, nowNanos);
        nowNanos += Policies.SECOND;
        assertSame(policy, put("epoch=1&stable=1.0&weights=2.0:100&lease_s=5&breaker_consecutive=1"));
        assertEquals(5, policy.leaseRemainingS(nowNanos), 1e-9);
        assertTrue(policy.breaker("2.0").isOpen());
        assertEquals("1.0", policy.choose(Sender.UNKNOWN, () -> 0.5, nowNanos));
    }

    @Test
    public void aHigherEpochReplacesThePolicyAndClosesItsBreakers() throws PolicyConflictException {
        PolicyInForce before = put("epoch=1&stable=1.0&weights=2.0:100&breaker_consecutive=1");
        before.breaker("2.0").note(Outcome.MODEL_ERROR, nowNanos);
        PolicyInForce after = put("epoch=2&stable=1.0&weights=2.0:100&breaker_consecutive=1");
        assertNotSame(before, after);
        assertSame(after, book.get("m"));
        assertFalse(after.breaker("2.0").isOpen());
    }

    @Test
    public void aLowerEpochAndAReusedEpochAreRefusedAndChangeNothing() throws PolicyConflictException {
        PolicyInForce policy = put("epoch=5&stable=1.0&weights=2.0:10");
        assertEquals(
                "StaleEpochException",
                assertThrows(PolicyConflictException.class, () -> put("epoch=4&stable=2.0")).type());
        assertEquals(
                "ReusedEpochException",
                assertThrows(PolicyConflictException.class, () -> put("epoch=5&stable=1.0&weights=2.0:11"))
                        .type());
        assertSame(policy, book.get("m"));
    }

    @Test
    public void theEpochIsRememberedAfterADelete() throws PolicyConflictException {
        put("epoch=5&stable=1.0");
        assertThrows(PolicyConflictException.class, () -> book.remove("m", 4));
        assertNotNull(book.remove("m", 6));
        assertNull(book.get("m"));
        assertNull(book.remove("m", 6));
        assertThrows(PolicyConflictException.class, () -> put("epoch=5&stable=1.0"));
        assertNotNull(put("epoch=6&stable=1.0"));
    }

    @Test
    public void anOpenBreakerGivesTheShareToStableAndLeavesTheOtherCandidateAlone() throws PolicyConflictException {
        PolicyInForce policy = put("epoch=1&stable=1.0&weights=2.0:20,3.0:30&breaker_consecutive=1");
        policy.breaker("2.0").note(Outcome.MODEL_ERROR, nowNanos);
        assertEquals(Map.of("1.0", 70.0, "2.0", 0.0, "3.0", 30.0), policy.effectiveWeights(nowNanos));
        assertEquals("1.0", policy.choose(Sender.UNKNOWN, () -> 0.1, nowNanos));
        assertEquals("3.0", policy.choose(Sender.UNKNOWN, () -> 0.4, nowNanos));
    }
}
