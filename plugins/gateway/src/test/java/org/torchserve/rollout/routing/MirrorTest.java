package org.torchserve.rollout.routing;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.Test;

/** Copies of requests: who gets one, what is kept of the answers, and that callers never notice. */
public class MirrorTest {
    private final List<String> heard = new ArrayList<>();
    private final List<String> dropped = new ArrayList<>();
    private final Map<String, List<Attempt>> asked = new HashMap<>();
    private long nowNanos = Policies.SECOND;
    private long nowMs = 1000;
    private double drawn;
    private boolean isCopyBroken;
    private final PolicyBook book = new PolicyBook(() -> nowNanos);
    private final Router router =
            new Router(book, new Policies.Registered("1.0", "2.0", "3.0"), () -> 0.999, () -> nowNanos);
    private final Exchanges exchanges =
            new Exchanges(router, new Dropped(), () -> nowNanos);
    private final Mirror mirror = new Mirror(exchanges, () -> drawn, () -> nowNanos, () -> nowMs);

    private final class Dropped implements Recorder {
        @Override
        public void finished(Attempt attempt, Outcome outcome) {}

        @Override
        public void failedOver(Route failed, Outcome why) {}

        @Override
        public void answered(Route route, int status) {}

        @Override
        public void mirrorDropped(Route shadow, String why) {
            dropped.add(shadow.version() + " " + why);
        }

        @Override
        public void tripped(Route route, Breaker.Trip trip) {}
    }

    private final class Heard implements Caller {
        @Override
        public void answer(Answer answer, Served served) {
            heard.add(new String(answer.body(), StandardCharsets.UTF_8));
        }

        @Override
        public void problem(Problem problem, Served served) {
            heard.add(problem.message());
        }

        @Override
        public void breakOff(String message) {
            heard.add("broken: " + message);
        }
    }

    private Dispatcher.Dispatched dispatch(Attempt attempt) {
        asked.computeIfAbsent(attempt.route().version(), version -> new ArrayList<>()).add(attempt);
        return new Dispatcher.Dispatched() {
            @Override
            public long queueNanos() {
                return -1;
            }

            @Override
            public Outcome lost() {
                return null;
            }

            @Override
            public void abandon() {}

            @Override
            public double modelDeadlineS() {
                return 120;
            }
        };
    }

    private void policy(String text) throws PolicyConflictException {
        long epoch = book.get("m") == null ? 1 : book.get("m").policy().epoch() + 1;
        book.put(Policies.policy("epoch=" + epoch + "&stable=1.0&lease_s=60&" + text));
    }

    private Exchange request(String named, long bytes) {
        return mirror.begin(
                router.route("m", named, Sender.UNKNOWN),
                "r",
                this::dispatch,
                new Heard(),
                () -> bytes,
                shadow -> {
                    if (isCopyBroken) {
                        throw new IllegalStateException("no copy");
                    }
                    return this::dispatch;
                });
    }

    private int copies(String version) {
        return asked.getOrDefault(version, List.of()).size();
    }

    private void answer(String version, int index, String text, Answer.Part part) {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        asked.get(version).get(index).answered(new Answer(200, null, "text/plain", Map.of(), body, part));
    }

    private List<MirrorPair> pairs() {
        return mirror.pairs("m").after(0, 1000).pairs();
    }

    @Test
    public void theCallerHasItsAnswerBeforeTheShadowSaysAnything() throws PolicyConflictException {
        policy("mirror=2.0:100,3.0:100");
        request(null, 1);
        answer("1.0", 0, "mine", Answer.Part.WHOLE);
        assertEquals(List.of("mine"), heard);
        assertEquals(0, pairs().size());
        nowNanos += 2 * Policies.SECOND;
        answer("2.0", 0, "its", Answer.Part.WHOLE);
        asked.get("3.0").get(0).failed(503, "InternalServerException", "broken");
        assertEquals(List.of("mine"), heard);
        MirrorHalf primary = pairs().get(0).primary();
        MirrorHalf shadow = pairs().get(0).shadow();
        assertEquals("1.0 200 0.0", primary.version() + " " + primary.status() + " " + primary.latencyS());
        assertEquals("2.0 200 2.0", shadow.version() + " " + shadow.status() + " " + shadow.latencyS());
        assertArrayEquals("mine".getBytes(StandardCharsets.UTF_8), primary.body());
        assertArrayEquals("its".getBytes(StandardCharsets.UTF_8), shadow.body());
        assertEquals(503, pairs().get(1).shadow().status());
        assertEquals(Outcome.OK, shadow.outcome());
        assertEquals(Outcome.MODEL_ERROR, pairs().get(1).shadow().outcome());
        assertEquals("r", pairs().get(1).requestId());
    }

    @Test
    public void onlyTheShareIsCopied() throws PolicyConflictException {
        policy("mirror=2.0:10");
        drawn = 0.1;
        request(null, 1);
        assertEquals(0, copies("2.0"));
        drawn = 0.0999;
        request(null, 1);
        assertEquals(1, copies("2.0"));
    }

    @Test
    public void whatNoPolicySentIsNotCopiedAndNobodyShadowsItself() throws PolicyConflictException {
        policy("mirror=2.0:100");
        request("1.0", 1);
        assertEquals(0, copies("2.0"));
        policy("weights=2.0:100&mirror=2.0:100");
        request(null, 1);
        assertEquals("asked as the candidate only", 1, copies("2.0"));
        policy("mirror=2.0:100");
        nowNanos += 61 * Policies.SECOND;
        request(null, 1);
        assertEquals("the lease ran out", 1, copies("2.0"));
    }

    @Test
    public void aStreamIsKeptUpToACapAndSaysIfItBroke() throws PolicyConflictException {
        policy("mirror=2.0:100");
        request(null, 1);
        answer("1.0", 0, "a", Answer.Part.MORE);
        answer("1.0", 0, "b", Answer.Part.LAST);
        answer("2.0", 0, "x".repeat(Mirror.MAX_BODY_BYTES + 1), Answer.Part.MORE);
        asked.get("2.0").get(0).failed(500, "InternalServerException", "Worker died.");
        MirrorPair pair = pairs().get(0);
        assertArrayEquals("ab".getBytes(StandardCharsets.UTF_8), pair.primary().body());
        assertTrue(pair.primary().isComplete() && !pair.primary().isTruncated());
        assertEquals(Mirror.MAX_BODY_BYTES, pair.shadow().body().length);
        assertTrue(!pair.shadow().isComplete() && pair.shadow().isTruncated());
        assertEquals(Outcome.STREAM_BROKEN, pair.shadow().outcome());
    }

    @Test
    public void copiesBeyondTheLimitAreDroppedAndCountedUntilOthersEnd() throws PolicyConflictException {
        policy("mirror=2.0:100");
        for (int i = 0; i < Mirror.MAX_COPIES + 3; i++) {
            request(null, 1);
        }
        assertEquals(Mirror.MAX_COPIES, copies("2.0"));
        assertEquals(List.of("2.0 copies", "2.0 copies", "2.0 copies"), dropped);
        assertEquals(Mirror.MAX_COPIES + 3, copies("1.0"));
        answer("2.0", 0, "done", Answer.Part.WHOLE);
        request(null, 1);
        assertEquals(Mirror.MAX_COPIES + 1, copies("2.0"));
    }

    @Test
    public void copiesHoldOnlySoMuchMemory() throws PolicyConflictException {
        policy("mirror=2.0:100");
        request(null, Mirror.MAX_BYTES);
        request(null, 1);
        assertEquals(List.of("2.0 memory"), dropped);
        answer("2.0", 0, "done", Answer.Part.WHOLE);
        request(null, 1);
        assertEquals(2, copies("2.0"));
    }

    @Test
    public void aCopyThatCannotBeMadeIsCountedAndHoldsNothing() throws PolicyConflictException {
        policy("mirror=2.0:100");
        isCopyBroken = true;
        for (int i = 0; i < Mirror.MAX_COPIES + 1; i++) {
            request(null, Mirror.MAX_BYTES);
        }
        assertEquals(Mirror.MAX_COPIES + 1, dropped.stream().filter("2.0 error"::equals).count());
        assertEquals(Mirror.MAX_COPIES + 1, copies("1.0"));
    }

    @Test
    public void aCallerWhoLeavesMakesNoPair() throws PolicyConflictException {
        policy("mirror=2.0:100");
        request(null, 1).callerGone();
        answer("2.0", 0, "its", Answer.Part.WHOLE);
        assertEquals(0, pairs().size());
    }

    @Test
    public void pairsAreLetGoAnHourAfterTheLatestOfTheirModel() throws PolicyConflictException {
        policy("mirror=2.0:100");
        request(null, 1);
        answer("1.0", 0, "mine", Answer.Part.WHOLE);
        nowMs += 1000;
        answer("2.0", 0, "its", Answer.Part.WHOLE);
        nowMs += Mirror.IDLE_MS;
        mirror.forgetIdlePairs();
        assertEquals(1, pairs().size());
        nowMs++;
        mirror.forgetIdlePairs();
        assertNull(mirror.pairs("m"));
    }

    @Test
    public void theRingKeepsTheLatestAndTellsWhatIsLost() {
        MirrorPairs ring = new MirrorPairs(() -> 5);
        MirrorHalf half = new MirrorHalf("1.0", 200, 0, new byte[0], false, true, Outcome.OK, false);
        for (int i = 0; i < 10; i++) {
            ring.add("r" + i, half, half);
        }
        MirrorPairs.Page first = ring.after(0, 4);
        assertEquals("r0", first.pairs().get(0).requestId());
        assertEquals(4, first.pairs().size());
        long read = first.pairs().get(3).sequence();
        assertEquals("r4", ring.after(read, 1).pairs().get(0).requestId());
        for (int i = 10; i < 10 + MirrorPairs.CAPACITY; i++) {
            ring.add("r" + i, half, half);
        }
        MirrorPairs.Page later = ring.after(read, 1000);
        assertEquals("six of the first ten were never read", 6, later.lost());
        assertEquals(MirrorPairs.CAPACITY, later.pairs().size());
        assertEquals(later.newest(), later.pairs().get(MirrorPairs.CAPACITY - 1).sequence());
        assertFalse(ring.after(later.newest(), 10).pairs().iterator().hasNext());
        assertEquals("read before a restart", 10, ring.after(1, 10).lost());
        assertNull("nothing of this model was mirrored", mirror.pairs("m"));
    }
}
