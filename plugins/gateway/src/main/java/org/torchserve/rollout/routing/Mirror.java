package org.torchserve.rollout.routing;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.DoubleSupplier;
import java.util.function.Function;
import java.util.function.LongSupplier;

/**
 * Sends copies of requests to shadow versions whose answers nobody waits for, and keeps the pairs of answers. Copies are
 * bounded in number and size; what does not fit is dropped and counted, the request itself notices nothing.
 */
public final class Mirror {
    /** So many copies may be under way for one version. */
    public static final int MAX_COPIES = 16;
    /** So many bytes of requests may be held by copies under way. */
    public static final long MAX_BYTES = 64L << 20;
    /** So many bytes of each answer are kept. */
    public static final int MAX_BODY_BYTES = 16 << 10;
    /** So long pairs are kept after the latest of their model. */
    static final long IDLE_MS = 3_600_000;

    private final Exchanges exchanges;
    private final DoubleSupplier random;
    private final LongSupplier nanoClock;
    private final LongSupplier wallClockMs;
    private final Map<String, MirrorPairs> pairs = new ConcurrentHashMap<>();
    private final Map<String, AtomicInteger> copies = new ConcurrentHashMap<>();
    private final AtomicLong bytes = new AtomicLong();

    /**
     * @param random numbers in [0, 1)
     * @param wallClockMs milliseconds since 1970
     */
    public Mirror(Exchanges exchanges, DoubleSupplier random, LongSupplier nanoClock, LongSupplier wallClockMs) {
        this.exchanges = exchanges;
        this.random = random;
        this.nanoClock = nanoClock;
        this.wallClockMs = wallClockMs;
    }

    /** The pairs of a model, or null if nothing of it was ever mirrored. */
    public MirrorPairs pairs(String model) {
        return pairs.get(model);
    }

    /** Lets go of the pairs of models that are no longer mirrored. */
    public void forgetIdlePairs() {
        long nowMs = wallClockMs.getAsLong();
        pairs.values().removeIf(each -> nowMs - each.lastMillis() > IDLE_MS);
    }

    /**
     * Starts a request on its way, and copies of it to the shadows that its policy draws.
     *
     * @param requestBytes how much of the request a copy holds on to
     * @param copy the request as a shadow gets it
     */
    public Exchange begin(
            Route route,
            String requestId,
            Dispatcher dispatcher,
            Caller caller,
            LongSupplier requestBytes,
            Function<String, Dispatcher> copy) {
        List<String> shadows = shadows(route);
        if (shadows.isEmpty()) {
            return exchanges.begin(requestId, route, dispatcher, caller);
        }
        MirrorSide primary = new MirrorSide(caller, nanoClock);
        Exchange exchange = exchanges.begin(requestId, route, dispatcher, primary);
        for (String shadow : shadows) {
            send(route, requestId, primary, requestBytes.getAsLong(), shadow, copy);
        }
        return exchange;
    }

    /** Requests that name a version, and those without a policy, are nobody's trial. */
    private List<String> shadows(Route route) {
        boolean byPolicy = route.role() == Role.STABLE || route.role() == Role.CANDIDATE;
        if (!byPolicy
                || route.policy().policy().mirror().isEmpty()
                || !route.policy().isLeaseValid(nanoClock.getAsLong())) {
            return List.of();
        }
        List<String> drawn = new ArrayList<>();
        route.policy()
                .policy()
                .mirror()
                .forEach(
                        (version, percent) -> {
                            if (random.getAsDouble() * 100 < percent && !version.equals(route.version())) {
                                drawn.add(version);
                            }
                        });
        return drawn;
    }

    private void send(
            Route route,
            String requestId,
            MirrorSide primary,
            long requestBytes,
            String shadow,
            Function<String, Dispatcher> copy) {
        AtomicInteger underWay =
                copies.computeIfAbsent(route.model() + "\n" + shadow, version -> new AtomicInteger());
        Route to =
                new Route(
                        route.model(), shadow, Role.MIRROR, route.policy(), route.policy().policy().candidateDeadlineS());
        if (underWay.incrementAndGet() > MAX_COPIES) {
            underWay.decrementAndGet();
            exchanges.recorder().mirrorDropped(to, "copies");
            return;
        }
        if (bytes.addAndGet(requestBytes) > MAX_BYTES) {
            bytes.addAndGet(-requestBytes);
            underWay.decrementAndGet();
            exchanges.recorder().mirrorDropped(to, "memory");
            return;
        }
        Runnable release =
                () -> {
                    underWay.decrementAndGet();
                    bytes.addAndGet(-requestBytes);
                };
        MirrorSide side = new MirrorSide(null, nanoClock);
        side.half().thenRun(release);
        MirrorPairs kept = pairs.computeIfAbsent(route.model(), model -> new MirrorPairs(wallClockMs));
        primary.half().thenAcceptBoth(side.half(), (one, other) -> kept.add(requestId, one, other));
        try {
            exchanges.begin(requestId, to, copy.apply(shadow), side);
        } catch (RuntimeException failed) {
            // Whatever is wrong with the copy, the caller's own request is under way already.
            release.run();
            exchanges.recorder().mirrorDropped(to, "error");
        }
    }
}
