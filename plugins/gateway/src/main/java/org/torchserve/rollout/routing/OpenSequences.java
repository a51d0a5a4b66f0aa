package org.torchserve.rollout.routing;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** On which version each open sequence is: the workers of that version hold what its next request needs. */
final class OpenSequences {
    /** Beyond so many, new ones are not remembered; they stay together for as long as no weight changes. */
    static final int MOST = 100_000;

    static final double IDLE_S = 3600;
    private static final double NANOS_PER_S = 1e9;

    private final Map<Key, Home> homes = new ConcurrentHashMap<>();

    private record Key(String model, String sequence) {}

    private record Home(String version, long lastNanos) {}

    /** The version a sequence is on; null for one that is not known. */
    String home(String model, String sequence) {
        Home home = homes.get(new Key(model, sequence));
        return home == null ? null : home.version();
    }

    /** A request of the sequence goes to {@code version}. */
    void settle(String model, String sequence, String version, long nowNanos) {
        Key key = new Key(model, sequence);
        if (homes.size() < MOST || homes.containsKey(key)) {
            homes.put(key, new Home(version, nowNanos));
        }
    }

    void end(String model, String sequence) {
        homes.remove(new Key(model, sequence));
    }

    /** Lets go of sequences that nobody has gone on with for an hour. */
    void forgetIdle(long nowNanos) {
        homes.values().removeIf(home -> nowNanos - home.lastNanos() > IDLE_S * NANOS_PER_S);
    }
}
