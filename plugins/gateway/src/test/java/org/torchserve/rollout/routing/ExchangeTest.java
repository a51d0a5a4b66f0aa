package org.torchserve.rollout.routing;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.Before;
import org.junit.Test;

/** One request each: who is asked, what the caller gets, who is charged. */
public class ExchangeTest {
    private final Policies.Registered versions = new Policies.Registered("1.0", "2.0", "3.0");
    private final List<String> heard = new ArrayList<>();
    private final List<String> counted = new ArrayList<>();
    private final List<Attempt> attempts = new ArrayList<>();
    private final List<Attempt> abandoned = new ArrayList<>();
    private final List<String> without = new ArrayList<>();
    private long nowNanos = Policies.SECOND;
    private Outcome lost;
    private final PolicyBook book = new PolicyBook(() -> nowNanos);
    private final Router router = new Router(book, versions, () -> 0.0, () -> nowNanos);
    private final Exchanges exchanges = new Exchanges(router, new Counted(), () -> nowNanos);

    private void pass(long seconds) {
        nowNanos += seconds * Policies.SECOND;
        exchanges.checkDeadlines();
    }

    private final class Counted implements Recorder {
        @Override
        public void finished(Attempt attempt, Outcome outcome) {
            Route route = attempt.route();
            counted.add(route.version() + " " + route.role().label() + " " + outcome.label());
        }

        @Override
        public void failedOver(Route failed, Outcome why) {
            counted.add(failed.version() + " failed over: " + why.label());
        }

        @Override
        public void answered(Route route, int status) {
            counted.add("answer " + status + " by " + route.version());
        }

        @Override
        public void mirrorDropped(Route shadow, String why) {
            counted.add(shadow.version() + " not mirrored: " + why);
        }

        @Override
        public void tripped(Route route, Breaker.Trip trip) {
            counted.add(route.version() + " tripped: " + trip.reason());
        }
    }

    private final class Heard implements Caller {
        @Override
        public void answer(Answer answer, Served served) {
            heard.add(
                    answer.status() + " " + new String(answer.body(), StandardCharsets.UTF_8) + " " + answer.part()
                            + " from " + served.version() + (served.failover() ? " instead" : ""));
        }

        @Override
        public void problem(Problem problem, Served served) {
            heard.add(problem.status() + " " + problem.type() + " from " + served.version());
        }

        @Override
        public void breakOff(String message) {
            heard.add("broken off");
        }
    }

    private final class Queue implements Dispatcher {
        @Override
        public Dispatched dispatch(Attempt attempt) throws RefusedException {
            String version = attempt.route().version();
            if (without.contains(version)) {
                throw new RefusedException(
                        Outcome.NO_CAPACITY, new Problem(503, "ServiceUnavailableException", "no worker"));
            }
            attempts.add(attempt);
            return new Dispatched() {
                @Override
                public long queueNanos() {
                    return -1;
                }

                @Override
                public Outcome lost() {
                    return lost;
                }

                @Override
                public void abandon() {
                    abandoned.add(attempt);
                }

                @Override
                public double modelDeadlineS() {
                    return 120;
                }
            };
        }
    }

    @Before
    public void allTrafficOnTheCandidate() throws PolicyConflictException {
        book.put(Policies.policy("epoch=1&stable=1.0&weights=2.0:100&breaker_consecutive=2&lease_s=3600"));
    }

    private Exchange request() {
        return exchanges.begin("r", router.route("m", null, Sender.UNKNOWN), new Queue(), new Heard());
    }

    private static Answer answer(int status, String body, Answer.Part part) {
        return new Answer(status, null, "text/plain", Map.of(), body.getBytes(StandardCharsets.UTF_8), part);
    }

    private static Answer ok(String body) {
        return answer(200, body, Answer.Part.WHOLE);
    }

    private void assertHeard(String... expected) {
        assertEquals(Arrays.asList(expected), heard);
    }

    private void assertCounted(String... expected) {
        assertEquals(Arrays.asList(expected), counted);
    }

    @Test
    public void aGoodAnswerOfTheCandidateGoesToTheCaller() {
        request();
        attempts.get(0).answered(ok("hello"));
        assertHeard("200 hello WHOLE from 2.0");
        assertCounted("2.0 candidate ok", "answer 200 by 2.0");
        pass(1000);
        assertHeard("200 hello WHOLE from 2.0");
        assertTrue(exchanges.inFlight().isEmpty());
    }

    @Test
    public void whatTheCandidateCannotAnswerStableAnswersAndTheCandidateIsCharged() {
        request();
        attempts.get(0).failed(503, "InternalServerException", "Prediction failed");
        assertEquals("1.0", attempts.get(1).route().version());
        attempts.get(1).answered(ok("hello"));
        assertHeard("200 hello WHOLE from 1.0 instead");
        assertCounted(
                "2.0 failed over: model_error", "2.0 candidate model_error", "1.0 failover ok", "answer 200 by 1.0");
    }

    @Test
    public void aMissedDeadlineIsReplayedAndTheLateAnswerNeverReachesTheCaller() {
        request();
        pass(29);
        assertEquals("still waiting", 1, attempts.size());
        pass(1);
        attempts.get(0).answered(ok("late"));
        attempts.get(1).answered(ok("in time"));
        attempts.get(0).answered(ok("later still"));
        attempts.get(0).failed(500, "InternalServerException", "Worker died.");
        assertHeard("200 in time WHOLE from 1.0 instead");
        assertTrue(counted.contains("2.0 candidate timeout"));
        assertEquals("TorchServe is told of both", attempts, abandoned);
    }

    @Test
    public void inputThatFailsOnBothIsToBlameAndNobodyIsCharged() {
        for (int i = 0; i < 10; i++) {
            attempts.clear();
            request();
            attempts.get(0).failed(503, "InternalServerException", "Prediction failed");
            attempts.get(1).failed(503, "InternalServerException", "Prediction failed");
        }
        assertEquals("503 InternalServerException from 1.0", heard.get(9));
        assertTrue(counted.contains("2.0 candidate bad_input"));
        assertTrue(counted.contains("1.0 failover bad_input"));
        assertFalse(book.get("m").breaker("2.0").isOpen());
    }

    @Test
    public void inputThatStableRefusesIsToBlameToo() {
        request();
        attempts.get(0).failed(503, "InternalServerException", "Prediction failed");
        attempts.get(1).failed(422, "InternalServerException", "too long");
        assertHeard("422 InternalServerException from 1.0");
        assertCounted(
                "2.0 failed over: model_error", "2.0 candidate bad_input", "1.0 failover client_error",
                "answer 422 by 1.0");
    }

    @Test
    public void aFullStableDoesNotExcuseTheCandidate() {
        without.add("1.0");
        request();
        attempts.get(0).failed(503, "InternalServerException", "Prediction failed");
        assertHeard("503 ServiceUnavailableException from 1.0");
        assertCounted(
                "2.0 failed over: model_error", "2.0 candidate model_error", "1.0 failover no_capacity",
                "answer 503 by 1.0");
    }

    @Test
    public void aCandidateWithoutCapacityIsNotChargedAndDoesNotExcuseStable() {
        without.add("2.0");
        request();
        attempts.get(0).failed(500, "InternalServerException", "Worker died.");
        assertCounted(
                "2.0 failed over: no_capacity", "2.0 candidate no_capacity", "1.0 failover worker_died",
                "answer 500 by 1.0");
    }

    @Test
    public void whatTheCallerDidWrongIsNotReplayed() {
        request();
        attempts.get(0).failed(400, "InternalServerException", "no text");
        assertHeard("400 InternalServerException from 2.0");
        assertCounted("2.0 candidate client_error", "answer 400 by 2.0");
    }

    @Test
    public void theBreakerOpensAndTheNextRequestGoesToStable() {
        for (int i = 0; i < 2; i++) {
            request();
            attempts.get(2 * i).failed(500, "InternalServerException", "Worker died.");
            attempts.get(2 * i + 1).answered(ok("hello"));
        }
        assertTrue(counted.contains("2.0 tripped: 2 consecutive failures"));
        request();
        assertEquals(Role.STABLE, attempts.get(4).route().role());
    }

    @Test
    public void withoutFailoverTheCandidatesFailureIsTheCallers() throws PolicyConflictException {
        book.put(Policies.policy("epoch=2&stable=1.0&weights=2.0:100&failover=none"));
        request();
        attempts.get(0).answered(answer(500, "handler says no", Answer.Part.WHOLE));
        assertHeard("500 handler says no WHOLE from 2.0");
        assertCounted("2.0 candidate model_error", "answer 500 by 2.0");
    }

    @Test
    public void aNamedVersionIsHonouredAndNeverFailedOver() {
        Route route = router.route("m", "3.0", Sender.UNKNOWN);
        exchanges.begin("r", route, new Queue(), new Heard());
        attempts.get(0).failed(503, "InternalServerException", "Prediction failed");
        assertHeard("503 InternalServerException from 3.0");
        assertCounted("3.0 explicit model_error", "answer 503 by 3.0");
    }

    @Test
    public void stableThatMissesItsDeadlineGivesTheCaller504() throws PolicyConflictException {
        book.put(Policies.policy("epoch=2&stable=1.0"));
        request();
        pass(60);
        assertHeard("504 GatewayTimeoutException from 1.0");
        assertCounted("1.0 stable timeout", "answer 504 by 1.0");
    }

    @Test
    public void aStreamPassesThroughPartByPart() {
        request();
        attempts.get(0).answered(answer(200, "a", Answer.Part.MORE));
        attempts.get(0).answered(answer(200, "b", Answer.Part.MORE));
        attempts.get(0).answered(answer(200, "c", Answer.Part.LAST));
        assertHeard("200 a MORE from 2.0", "200 b MORE from 2.0", "200 c LAST from 2.0");
        assertCounted("answer 200 by 2.0", "2.0 candidate ok");
    }

    @Test
    public void aStreamThatBreaksIsBrokenOffAndCharged() {
        request();
        attempts.get(0).answered(answer(200, "a", Answer.Part.MORE));
        attempts.get(0).failed(500, "InternalServerException", "Worker died.");
        assertHeard("200 a MORE from 2.0", "broken off");
        assertCounted("answer 200 by 2.0", "2.0 candidate stream_broken");
        assertEquals("nobody else is asked", 1, attempts.size());
    }

    @Test
    public void aStreamThatEndsWithAnErrorsStatusIsBrokenOffAndCharged() {
        request();
        attempts.get(0).answered(answer(200, "a", Answer.Part.MORE));
        attempts.get(0).answered(answer(500, "b", Answer.Part.LAST));
        assertHeard("200 a MORE from 2.0", "broken off");
        assertCounted("answer 200 by 2.0", "2.0 candidate stream_broken");
    }

    @Test
    public void aStreamThatGoesOnKeepsItsDeadlineAwayAndOneThatStallsIsBrokenOff() {
        request();
        pass(20);
        attempts.get(0).answered(answer(200, "a", Answer.Part.MORE));
        pass(20);
        attempts.get(0).answered(answer(200, "b", Answer.Part.MORE));
        pass(29);
        assertHeard("200 a MORE from 2.0", "200 b MORE from 2.0");
        pass(1);
        assertHeard("200 a MORE from 2.0", "200 b MORE from 2.0", "broken off");
    }

    @Test
    public void aStreamThatBeginsWithAnErrorIsReplayed() {
        request();
        attempts.get(0).answered(answer(500, "sorry", Answer.Part.MORE));
        attempts.get(1).answered(answer(200, "only part", Answer.Part.LAST));
        assertHeard("200 only part WHOLE from 1.0 instead");
    }

    @Test
    public void aCallerWhoLeavesIsCountedAndNobodyIsCharged() {
        Exchange exchange = request();
        exchange.callerGone();
        exchange.callerGone();
        attempts.get(0).answered(ok("too late"));
        assertHeard();
        assertCounted("2.0 candidate client_gone");
    }

    @Test
    public void aVersionThatIsUnregisteredUnderARequestIsReplayedAtOnce() {
        request();
        lost = Outcome.NO_CAPACITY;
        exchanges.checkLost();
        lost = null;
        attempts.get(1).answered(ok("hello"));
        assertHeard("200 hello WHOLE from 1.0 instead");
        assertTrue(counted.contains("2.0 candidate no_capacity"));
    }

    @Test
    public void aWorkerKilledBecauseItsVersionIsUnregisteredIsNotTheVersionsFault() {
        request();
        lost = Outcome.NO_CAPACITY;
        attempts.get(0).failed(500, "InternalServerException", "Worker died.");
        lost = null;
        attempts.get(1).answered(ok("hello"));
        assertHeard("200 hello WHOLE from 1.0 instead");
        assertTrue(counted.contains("2.0 candidate no_capacity"));
    }

    @Test
    public void requestsThatFindTheCandidatesWorkersDeadAreCharged() {
        request();
        lost = Outcome.WORKER_DIED;
        exchanges.checkLost();
        lost = null;
        attempts.get(1).answered(ok("hello"));
        assertHeard("200 hello WHOLE from 1.0 instead");
        assertTrue(counted.contains("2.0 candidate worker_died"));
    }

    @Test
    public void withStableGoneTheDefaultVersionAnswers() throws PolicyConflictException {
        versions.defaultVersion = "3.0";
        versions.versions.remove("1.0");
        request();
        attempts.get(0).failed(500, "InternalServerException", "Worker died.");
        assertEquals("3.0", attempts.get(1).route().version());
        book.put(Policies.policy("epoch=2&stable=1.0"));
        request();
        assertEquals(Role.DEFAULT, attempts.get(2).route().role());
    }

    @Test
    public void aWorkerThatWasKilledIsADeadWorkerAlthoughTorchServeSays507() {
        assertEquals(Outcome.WORKER_DIED, Outcome.ofError(507, "Worker died."));
        assertEquals(Outcome.OUT_OF_MEMORY, Outcome.ofError(507, "Out of memory"));
    }

    @Test
    public void whatIsUnderWayWhenTheReplayBudgetIsSpentIsStillReplayed() throws PolicyConflictException {
        book.put(
                Policies.policy(
                        "epoch=2&stable=1.0&weights=2.0:100&breaker_consecutive=0&breaker_window_failures=0&lease_s=3600"
                                + "&replay_budget=0&replay_budget_min=1"));
        for (int i = 0; i < 4; i++) {
            request();
        }
        for (int i = 0; i < 4; i++) {
            attempts.get(i).failed(503, "InternalServerException", "no");
        }
        request();
        for (int i = 4; i < 9; i++) {
            attempts.get(i).answered(ok("answer " + i));
        }
        assertHeard(
                "200 answer 4 WHOLE from 1.0 instead",
                "200 answer 5 WHOLE from 1.0 instead",
                "200 answer 6 WHOLE from 1.0 instead",
                "200 answer 7 WHOLE from 1.0 instead",
                "200 answer 8 WHOLE from 1.0");
        String reason = "replay budget spent: 2 of 4 requests of the last 10 s were replayed on stable";
        assertEquals(1, counted.stream().filter(("2.0 tripped: " + reason)::equals).count());
    }
}
