package org.torchserve.rollout.routing;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/** All requests under way, and what they share. */
public final class Exchanges {
    private final Router router;
    private final Recorder recorder;
    private final LongSupplier nanoClock;
    private volatile Consumer<Conclusion> log;
    private final Set<Exchange> live = ConcurrentHashMap.newKeySet();

    public Exchanges(Router router, Recorder recorder, LongSupplier nanoClock) {
        this.router = router;
        this.recorder = recorder;
        this.nanoClock = nanoClock;
    }

    /** Starts a request on its way; {@link Exchange#callerGone} ends it early. */
    public Exchange begin(String requestId, Route route, Dispatcher dispatcher, Caller caller) {
        Exchange exchange = new Exchange(this, requestId, dispatcher, caller);
        live.add(exchange);
        boolean begun = false;
        try {
            exchange.attempt(route);
            begun = true;
        } finally {
            if (!begun) {
                forget(exchange);
            }
        }
        return exchange;
    }

    /** From now on each request that ends is told to {@code everyConclusion}. */
    public void logTo(Consumer<Conclusion> everyConclusion) {
        log = everyConclusion;
    }

    /**
     * Gives up attempts that are overdue. To be called every few milliseconds: a look at the few requests under way costs
     * less than a timer for each of the many that pass.
     */
    public void checkDeadlines() {
        long nowNanos = nanoClock.getAsLong();
        for (Exchange exchange : live) {
            exchange.checkDeadline(nowNanos);
        }
    }

    /** Gives up attempts nobody will ever answer: TorchServe drops the requests of a version that is unregistered. */
    public void checkLost() {
        live.forEach(Exchange::checkLost);
    }

    /** Attempts not yet answered, by model and version. */
    public Map<String, Map<String, Integer>> inFlight() {
        Map<String, Map<String, Integer>> counts = new TreeMap<>();
        for (Exchange exchange : live) {
            Route route = exchange.currentRoute();
            if (route != null) {
                counts.computeIfAbsent(route.model(), model -> new TreeMap<>()).merge(route.version(), 1, Integer::sum);
            }
        }
        return counts;
    }

    void forget(Exchange exchange) {
        live.remove(exchange);
    }

    /** Who wants to know how requests end, or null. */
    Consumer<Conclusion> log() {
        return log;
    }

    Router router() {
        return router;
    }

    Recorder recorder() {
        return recorder;
    }

    LongSupplier nanoClock() {
        return nanoClock;
    }
}
