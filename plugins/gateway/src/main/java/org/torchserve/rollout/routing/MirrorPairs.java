package org.torchserve.rollout.routing;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.function.LongSupplier;

/** The latest pairs of one model. Nobody has to read them: a new pair takes the place of the oldest. */
public final class MirrorPairs {
    /** So many pairs are kept. */
    public static final int CAPACITY = 256;

    private static final long SEQUENCES_PER_MS = 1000;

    private final LongSupplier wallClockMs;
    private final Deque<MirrorPair> pairs = new ArrayDeque<>();
    private final long begin;
    private long last;
    private long lastMillis;

    /** @param wallClockMs milliseconds since 1970; where the sequence begins, so that it grows over restarts */
    MirrorPairs(LongSupplier wallClockMs) {
        this.wallClockMs = wallClockMs;
        this.lastMillis = wallClockMs.getAsLong();
        this.begin = lastMillis * SEQUENCES_PER_MS;
        this.last = begin;
    }

    synchronized void add(String requestId, MirrorHalf primary, MirrorHalf shadow) {
        if (pairs.size() == CAPACITY) {
            pairs.removeFirst();
        }
        last++;
        lastMillis = wallClockMs.getAsLong();
        pairs.addLast(new MirrorPair(last, requestId, lastMillis, primary, shadow));
    }

    /** When the latest pair was added, in milliseconds since 1970. */
    synchronized long lastMillis() {
        return lastMillis;
    }

    /**
     * A part of what there is.
     *
     * @param lost how many pairs later than {@code after} were overwritten before anybody asked
     * @param newest sequence of the latest pair of all
     */
    public record Page(List<MirrorPair> pairs, long lost, long newest) {}

    /** The pairs later than {@code after} (0 = all there are), oldest first, at most {@code limit}. */
    public synchronized Page after(long after, int limit) {
        List<MirrorPair> found = new ArrayList<>();
        for (MirrorPair pair : pairs) {
            if (pair.sequence() > after && found.size() < limit) {
                found.add(pair);
            }
        }
        boolean knows = after > 0 && !pairs.isEmpty();
        // Between the last one before a restart and the first one after it there were none.
        long lost = knows ? Math.max(0, pairs.getFirst().sequence() - Math.max(after, begin) - 1) : 0;
        return new Page(found, lost, last);
    }
}
