package org.torchserve.rollout.routing;

/**
 * Keeps a failing candidate from drowning stable: of the requests of the last seconds only a share may be replayed. What is
 * spent is not refused to requests under way; it takes the candidate out of the traffic.
 */
public final class ReplayBudget {
    /** Length of the window. */
    public static final int WINDOW_S = 10;

    private static final long NANOS_PER_S = 1_000_000_000L;

    private final double sharePct;
    private final int always;
    private final int[] requests = new int[WINDOW_S];
    private final int[] replays = new int[WINDOW_S];
    private long newestSecond;
    private boolean begun;

    /**
     * @param sharePct percent of the window's requests that may be replays
     * @param always so many replays within the window are within the budget in any case
     */
    public ReplayBudget(double sharePct, int always) {
        this.sharePct = sharePct;
        this.always = always;
    }

    /** Notes a request of the model. */
    synchronized void request(long nowNanos) {
        requests[slot(nowNanos)]++;
    }

    /** Notes a replay; why the budget is spent with it, or null while it is not. */
    synchronized String replay(long nowNanos) {
        replays[slot(nowNanos)]++;
        long replayed = sum(replays);
        long all = sum(requests);
        boolean within = replayed <= always || replayed * 100.0 <= sharePct * all;
        return within
                ? null
                : "replay budget spent: " + replayed + " of " + all + " requests of the last " + WINDOW_S
                        + " s were replayed on stable";
    }

    /** The present second's slot; those of seconds that passed since the last call are emptied. */
    private int slot(long nowNanos) {
        long second = Math.floorDiv(nowNanos, NANOS_PER_S);
        if (!begun) {
            begun = true;
            newestSecond = second;
        }
        // Threads may come a little out of order: what is late counts for the newest second.
        long passed = Math.min(second - newestSecond, WINDOW_S);
        for (long each = 1; each <= passed; each++) {
            int emptied = (int) Math.floorMod(newestSecond + each, (long) WINDOW_S);
            requests[emptied] = 0;
            replays[emptied] = 0;
        }
        newestSecond = Math.max(newestSecond, second);
        return (int) Math.floorMod(newestSecond, (long) WINDOW_S);
    }

    private static long sum(int[] counts) {
        long sum = 0;
        for (int count : counts) {
            sum += count;
        }
        return sum;
    }
}
