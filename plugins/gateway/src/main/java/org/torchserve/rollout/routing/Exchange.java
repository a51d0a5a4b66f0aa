package org.torchserve.rollout.routing;

import java.util.function.Consumer;

/**
 * One request from arrival to the last byte of its answer: at most two attempts, the second on stable, and the rule who is
 * to blame. Reports come from worker, timer and network threads; the monitor puts them in order, and nothing in here waits.
 */
public final class Exchange {
    private static final double NANOS_PER_S = 1e9;

    private final Exchanges shared;
    private final String requestId;
    private final long beginNanos;
    private final Dispatcher dispatcher;
    private final Caller caller;
    /** Written under the monitor; read without it where TorchServe may hold locks of its own. */
    private volatile Attempt current;

    /** The candidate's failed attempt while stable answers in its place. */
    private Attempt replaced;

    private Outcome replacedOutcome;
    private int attempts;
    private int status;
    private Answer last;

    Exchange(Exchanges shared, String requestId, Dispatcher dispatcher, Caller caller) {
        this.shared = shared;
        this.requestId = requestId;
        this.beginNanos = shared.nanoClock().getAsLong();
        this.dispatcher = dispatcher;
        this.caller = caller;
    }

    synchronized void attempt(Route route) {
        Attempt attempt = new Attempt(this, route, shared.nanoClock().getAsLong());
        current = attempt;
        attempts++;
        try {
            attempt.dispatched = dispatcher.dispatch(attempt);
        } catch (Dispatcher.RefusedException refused) {
            fail(attempt, refused.outcome(), refused.problem());
            return;
        }
        double deadlineS = route.deadlineS() > 0 ? route.deadlineS() : attempt.dispatched.modelDeadlineS();
        attempt.deadlineNanos = (long) (deadlineS * NANOS_PER_S);
        attempt.waitFrom(shared.nanoClock().getAsLong());
    }

    boolean isCurrent(Attempt attempt) {
        return current == attempt;
    }

    synchronized void answered(Attempt attempt, Answer answer) {
        if (attempt != current) {
            return;
        }
        long nowNanos = shared.nanoClock().getAsLong();
        if (attempt.streaming) {
            attempt.waitFrom(nowNanos);
            continueStream(attempt, answer);
            return;
        }
        attempt.firstByteNanos = nowNanos;
        Outcome outcome = Outcome.ofStatus(answer.status());
        boolean whole = answer.part() != Answer.Part.MORE || answer.status() >= 400;
        if (!whole) {
            settleReplaced(false);
            attempt.streaming = true;
            attempt.waitFrom(nowNanos);
            status = answer.status();
            shared.recorder().answered(attempt.route(), answer.status());
            caller.answer(answer, served(attempt));
        } else if (!failOver(attempt, outcome)) {
            status = answer.status();
            last = answer;
            conclude(attempt, outcome);
            shared.recorder().answered(attempt.route(), answer.status());
            caller.answer(asWhole(answer), served(attempt));
        }
    }

    private void continueStream(Attempt attempt, Answer answer) {
        Outcome outcome = Outcome.ofStatus(answer.status());
        if (outcome.isCharged()) {
            String message =
                    String.format("Version %s ended its stream with status %d.", attempt.route().version(), answer.status());
            fail(attempt, outcome, new Problem(answer.status(), "StreamBrokenException", message));
            return;
        }
        if (answer.part() != Answer.Part.MORE) {
            last = answer;
            conclude(attempt, Outcome.OK);
        }
        caller.answer(answer, served(attempt));
    }

    synchronized void failed(Attempt attempt, Problem problem) {
        if (attempt != current) {
            return;
        }
        Outcome outcome = Outcome.ofError(problem.status(), problem.message());
        // Who unregisters a version or scales it to 0 kills its workers; the version is not to blame for that.
        if (outcome == Outcome.WORKER_DIED && attempt.dispatched.lost() == Outcome.NO_CAPACITY) {
            failLost(attempt, Outcome.NO_CAPACITY);
        } else {
            fail(attempt, outcome, problem);
        }
    }

    /** The caller left. */
    public synchronized void callerGone() {
        if (current != null) {
            conclude(current, Outcome.CLIENT_GONE);
        }
    }

    synchronized void checkLost() {
        Outcome lost = current == null ? null : current.dispatched.lost();
        if (lost != null) {
            failLost(current, lost);
        }
    }

    private void failLost(Attempt attempt, Outcome why) {
        Route route = attempt.route();
        String message =
                String.format(
                        "Model \"%s\" version %s lost its workers or was unregistered while the request waited."
                                + " Check GET /models/%s/%s on the management port.",
                        route.model(), route.version(), route.model(), route.version());
        fail(attempt, why, new Problem(503, "ServiceUnavailableException", message));
    }

    /** Looks without the monitor: hardly ever is anything due. */
    void checkDeadline(long nowNanos) {
        Attempt attempt = current;
        if (attempt != null && attempt.isOverdue(nowNanos)) {
            missedDeadline(attempt, nowNanos);
        }
    }

    private synchronized void missedDeadline(Attempt attempt, long nowNanos) {
        if (attempt != current || !attempt.isOverdue(nowNanos)) {
            return;
        }
        Route route = attempt.route();
        String message =
                String.format(
                        "Model \"%s\" version %s gave no answer within %.3g s: its worker is busy, dead or not loaded."
                                + " Check GET /models/%s/%s on the management port.",
                        route.model(),
                        route.version(),
                        attempt.deadlineNanos / NANOS_PER_S,
                        route.model(),
                        route.version());
        fail(attempt, Outcome.TIMEOUT, new Problem(504, "GatewayTimeoutException", message));
    }

    private void fail(Attempt attempt, Outcome outcome, Problem problem) {
        if (attempt.streaming) {
            conclude(attempt, Outcome.STREAM_BROKEN);
            caller.breakOff(problem.message());
        } else if (!failOver(attempt, outcome)) {
            status = problem.status();
            conclude(attempt, outcome);
            shared.recorder().answered(attempt.route(), problem.status());
            caller.problem(problem, served(attempt));
        }
    }

    /** Lets stable answer instead, if that is allowed; true if so. */
    private boolean failOver(Attempt attempt, Outcome outcome) {
        Route other = outcome.isReplayed() ? shared.router().failover(attempt.route()) : null;
        if (other == null) {
            return false;
        }
        leave(attempt);
        replaced = attempt;
        replacedOutcome = outcome;
        shared.recorder().failedOver(attempt.route(), outcome);
        Route route = attempt.route();
        Breaker.Trip trip = route.policy().replayed(route.version(), shared.nanoClock().getAsLong());
        if (trip != null) {
            shared.recorder().tripped(route, trip);
        }
        attempt(other);
        return true;
    }

    /** Ends the current attempt and with it the exchange. */
    private void conclude(Attempt attempt, Outcome outcome) {
        leave(attempt);
        shared.forget(this);
        boolean failedToo = outcome == Outcome.CLIENT_ERROR || outcome.isCharged() && !attempt.streaming;
        // A version that never saw the input cannot be excused by it.
        boolean sawInput = replaced != null && replaced.dispatched != null && replacedOutcome != Outcome.NO_CAPACITY;
        boolean inputToBlame = sawInput && failedToo;
        settleReplaced(inputToBlame);
        Outcome counted = inputToBlame && outcome.isCharged() ? Outcome.BAD_INPUT : outcome;
        count(attempt, counted);
        caller.concluded(counted);
        Consumer<Conclusion> log = shared.log();
        if (log != null) {
            long latencyNanos = attempt.endNanos - beginNanos;
            log.accept(new Conclusion(requestId, attempt.route(), counted, status, attempts, latencyNanos, last));
        }
    }

    private void leave(Attempt attempt) {
        current = null;
        attempt.endNanos = shared.nanoClock().getAsLong();
        if (attempt.dispatched != null) {
            attempt.dispatched.abandon();
        }
    }

    private void settleReplaced(boolean inputToBlame) {
        if (replaced != null) {
            count(replaced, inputToBlame ? Outcome.BAD_INPUT : replacedOutcome);
            replaced = null;
        }
    }

    private void count(Attempt attempt, Outcome outcome) {
        Route route = attempt.route();
        shared.recorder().finished(attempt, outcome);
        if (route.role() == Role.CANDIDATE) {
            Breaker breaker = route.policy().breaker(route.version());
            if (breaker.note(outcome, shared.nanoClock().getAsLong())) {
                shared.recorder().tripped(route, breaker.trip());
            }
        }
    }

    private static Served served(Attempt attempt) {
        return new Served(attempt.route().version(), attempt.route().role() == Role.FAILOVER);
    }

    /** A stream of one part, or one that starts with an error, is an answer like any other. */
    private static Answer asWhole(Answer answer) {
        return answer.part() == Answer.Part.WHOLE
                ? answer
                : new Answer(
                        answer.status(),
                        answer.reason(),
                        answer.contentType(),
                        answer.headers(),
                        answer.body(),
                        Answer.Part.WHOLE);
    }

    /** The route of the attempt that is under way, or null. */
    Route currentRoute() {
        Attempt attempt = current;
        return attempt == null ? null : attempt.route();
    }
}
