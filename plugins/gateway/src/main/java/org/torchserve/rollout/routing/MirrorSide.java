package org.torchserve.rollout.routing;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongSupplier;

/** Listens in on one answer and passes it on; what was heard is {@link #half}. */
final class MirrorSide implements Caller {
    private static final double NANOS_PER_S = 1e9;
    private static final Caller NOBODY =
            new Caller() {
                @Override
                public void answer(Answer answer, Served served) {}

                @Override
                public void problem(Problem problem, Served served) {}

                @Override
                public void breakOff(String message) {}
            };

    private final CompletableFuture<MirrorHalf> half = new CompletableFuture<>();
    private final Caller next;
    private final LongSupplier nanoClock;
    private final long beginNanos;
    private final ByteArrayOutputStream body = new ByteArrayOutputStream();
    private boolean isTruncated;
    private int status;
    private Served by;
    private Outcome outcome;

    /** @param next who gets the answer, or null if nobody does */
    MirrorSide(Caller next, LongSupplier nanoClock) {
        this.next = next == null ? NOBODY : next;
        this.nanoClock = nanoClock;
        this.beginNanos = nanoClock.getAsLong();
    }

    /** Complete once the answer is; never, if the caller leaves before. */
    CompletableFuture<MirrorHalf> half() {
        return half;
    }

    @Override
    public void answer(Answer answer, Served served) {
        next.answer(answer, served);
        if (by == null) {
            by = served;
            status = answer.status();
        }
        keep(answer.body());
        if (answer.part() != Answer.Part.MORE) {
            end(true);
        }
    }

    @Override
    public void problem(Problem problem, Served served) {
        next.problem(problem, served);
        by = served;
        status = problem.status();
        keep(problem.message().getBytes(StandardCharsets.UTF_8));
        end(true);
    }

    @Override
    public void concluded(Outcome outcome) {
        next.concluded(outcome);
        this.outcome = outcome;
    }

    @Override
    public void breakOff(String message) {
        next.breakOff(message);
        end(false);
    }

    private void keep(byte[] part) {
        int room = Math.min(part.length, Mirror.MAX_BODY_BYTES - body.size());
        body.write(part, 0, room);
        isTruncated |= room < part.length;
    }

    private void end(boolean isComplete) {
        double latencyS = (nanoClock.getAsLong() - beginNanos) / NANOS_PER_S;
        half.complete(
                new MirrorHalf(
                        by.version(),
                        status,
                        latencyS,
                        body.toByteArray(),
                        isTruncated,
                        isComplete,
                        outcome,
                        by.failover()));
    }
}
