package org.torchserve.rollout.routing;

import java.util.Map;
import java.util.function.DoubleSupplier;

/** Chooses a version by weight: at random, or always the same for the same key. Immutable. */
final class WeightedChoice {
    private static final double TO_UNIT = 0x1.0p-53;

    private final String stable;
    private final String[] candidates;
    private final double[] weights;
    private final long[] salts;
    private final double stableWeight;
    private final long stableSalt;

    WeightedChoice(String stable, Map<String, Double> weights) {
        this.stable = stable;
        this.candidates = weights.keySet().toArray(new String[0]);
        this.weights = weights.values().stream().mapToDouble(Double::doubleValue).toArray();
        this.salts = new long[candidates.length];
        double sum = 0;
        for (int i = 0; i < candidates.length; i++) {
            salts[i] = hash(candidates[i]);
            sum += this.weights[i];
        }
        this.stableWeight = Math.max(0, 100 - sum);
        this.stableSalt = hash(stable);
    }

    /** A version drawn with {@code random}, which gives numbers in [0, 1). */
    String draw(DoubleSupplier random) {
        double point = random.getAsDouble() * 100;
        for (int i = 0; i < candidates.length; i++) {
            point -= weights[i];
            if (point < 0) {
                return candidates[i];
            }
        }
        return stable;
    }

    /**
     * The version of {@code key}: weighted rendezvous hashing. A version's score grows with its own weight only, so raising
     * a candidate's weight takes no key away from it, and lowering gives it none.
     */
    String of(String key) {
        long keyHash = hash(key);
        String winner = stable;
        double best = score(keyHash, stableSalt, stableWeight);
        for (int i = 0; i < candidates.length; i++) {
            double score = score(keyHash, salts[i], weights[i]);
            if (score > best) {
                best = score;
                winner = candidates[i];
            }
        }
        return winner;
    }

    private static double score(long keyHash, long salt, double weight) {
        double unit = ((mix(keyHash ^ salt) >>> 11) + 0.5) * TO_UNIT;
        return weight / -Math.log(unit);
    }

    /** FNV-1a over the characters, finished by {@link #mix}. */
    private static long hash(String text) {
        long hash = 0xcbf29ce484222325L;
        for (int i = 0; i < text.length(); i++) {
            hash = (hash ^ text.charAt(i)) * 0x100000001b3L;
        }
        return mix(hash);
    }

    /** The finalizer of SplitMix64: every bit of the input moves every bit of the output. */
    private static long mix(long value) {
        long mixed = value + 0x9e3779b97f4a7c15L;
        mixed = (mixed ^ (mixed >>> 30)) * 0xbf58476d1ce4e5b9L;
        mixed = (mixed ^ (mixed >>> 27)) * 0x94d049bb133111ebL;
        return mixed ^ (mixed >>> 31);
    }
}
