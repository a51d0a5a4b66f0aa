package org.torchserve.rollout.routing;

import static org.junit.Assert.assertEquals;

import org.junit.Before;
import org.junit.Test;

/** A sequence stays on the version where it began, whatever becomes of the policy. */
public class SequencesTest {
    private long nowNanos = -5 * Policies.SECOND;
    private double drawn;
    private int epoch;
    private final Policies.Registered versions = new Policies.Registered("1.0", "2.0", "3.0");
    private final PolicyBook policies = new PolicyBook(() -> nowNanos);
    private final Router router = new Router(policies, versions, () -> drawn, () -> nowNanos);

    private record Member(String sequence, boolean endsSequence) implements Sender {
        @Override
        public String key(StickyKey where) {
            return null;
        }
    }

    private void policy(String text) throws PolicyConflictException {
        epoch++;
        policies.put(Policies.policy("epoch=" + epoch + "&lease_s=60&" + text));
    }

    private Route route(String sequence) {
        return router.route("m", null, new Member(sequence, false));
    }

    @Before
    public void aSequenceIsOnTheCandidate() throws PolicyConflictException {
        policy("stable=1.0&weights=2.0:100");
        assertEquals("2.0", route("s").version());
    }

    @Test
    public void itStaysOnTheCandidateWhenTheWeightFalls() throws PolicyConflictException {
        policy("stable=1.0&weights=2.0:0");
        assertEquals("2.0", route("s").version());
        assertEquals(Role.CANDIDATE, route("s").role());
        assertEquals("1.0", route("another").version());
    }

    @Test
    public void itStaysWhenTheLeaseRunsOut() {
        nowNanos += 61 * Policies.SECOND;
        assertEquals("2.0", route("s").version());
        assertEquals("1.0", route("another").version());
    }

    @Test
    public void itStaysOnThePriorVersionWhenTheCandidateIsPromoted() throws PolicyConflictException {
        policy("stable=1.0&weights=3.0:0");
        assertEquals("1.0", route("old").version());
        policy("stable=2.0");
        assertEquals("1.0", route("old").version());
        assertEquals(Role.DEFAULT, route("old").role());
        assertEquals("2.0", route("s").version());
        assertEquals(Role.STABLE, route("s").role());
    }

    @Test
    public void itStaysWhenThereIsNoPolicyAnyMore() throws PolicyConflictException {
        policies.remove("m", ++epoch);
        assertEquals("2.0", route("s").version());
        assertEquals(Role.DEFAULT, route("s").role());
        assertEquals("1.0", route("another").version());
    }

    @Test
    public void itMovesWhenItsVersionHasNoWorkersOrIsGoneAndStaysThere() throws PolicyConflictException {
        versions.idle.add("2.0");
        policy("stable=1.0&weights=2.0:0");
        assertEquals("1.0", route("s").version());
        versions.idle.clear();
        assertEquals("1.0", route("s").version());
    }

    @Test
    public void itMovesWhenTheBreakerOpens() {
        policies.get("m").breaker("2.0").trip("for a test", nowNanos);
        assertEquals("1.0", route("s").version());
    }

    @Test
    public void itIsForgottenWhenItEnds() throws PolicyConflictException {
        policy("stable=1.0&weights=2.0:0");
        assertEquals("2.0", router.route("m", null, new Member("s", true)).version());
        assertEquals("1.0", route("s").version());
    }

    @Test
    public void itIsForgottenWhenNobodyGoesOnWithItForAnHour() throws PolicyConflictException {
        policy("stable=1.0&weights=2.0:0");
        nowNanos += 3599 * Policies.SECOND;
        router.forgetIdleSequences();
        assertEquals("2.0", route("s").version());
        nowNanos += 3601 * Policies.SECOND;
        router.forgetIdleSequences();
        assertEquals("1.0", route("s").version());
    }

    @Test
    public void itMayBeginOnAVersionThatTheCallerNamed() {
        assertEquals("3.0", router.route("m", "3.0", new Member("named", false)).version());
        assertEquals("3.0", route("named").version());
    }
}
