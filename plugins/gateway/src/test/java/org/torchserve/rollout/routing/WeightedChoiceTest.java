package org.torchserve.rollout.routing;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.Test;

public class WeightedChoiceTest {
    private static final int REQUESTS = 200_000;

    private static Map<String, Double> weights(Object... pairs) {
        Map<String, Double> weights = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            weights.put((String) pairs[i], ((Number) pairs[i + 1]).doubleValue());
        }
        return weights;
    }

    private static void assertShare(String version, double percent, int count) {
        double share = percent / 100;
        double fiveSigma = 5 * Math.sqrt(share * (1 - share) / REQUESTS);
        assertEquals(version, share, (double) count / REQUESTS, fiveSigma);
    }

    @Test
    public void randomSharesAreTheWeights() {
        WeightedChoice choice = new WeightedChoice("1.0", weights("2.0", 5, "3.0", 0.5, "4.0", 20));
        Random random = new Random(1);
        Map<String, Integer> counts = new HashMap<>();
        for (int i = 0; i < REQUESTS; i++) {
            counts.merge(choice.draw(random::nextDouble), 1, Integer::sum);
        }
        assertShare("2.0", 5, counts.get("2.0"));
        assertShare("3.0", 0.5, counts.get("3.0"));
        assertShare("4.0", 20, counts.get("4.0"));
        assertShare("1.0", 74.5, counts.get("1.0"));
    }

    @Test
    public void stickySharesAreTheWeights() {
        WeightedChoice choice = new WeightedChoice("1.0", weights("2.0", 5, "3.0", 0.5, "4.0", 20));
        Map<String, Integer> counts = new HashMap<>();
        for (int i = 0; i < REQUESTS; i++) {
            counts.merge(choice.of("user-" + i), 1, Integer::sum);
        }
        assertShare("2.0", 5, counts.get("2.0"));
        assertShare("3.0", 0.5, counts.get("3.0"));
        assertShare("4.0", 20, counts.get("4.0"));
        assertShare("1.0", 74.5, counts.get("1.0"));
    }

    @Test
    public void aDarkLaunchGetsNothingAndFullWeightGetsEverything() {
        WeightedChoice dark = new WeightedChoice("1.0", weights("2.0", 0));
        WeightedChoice full = new WeightedChoice("1.0", weights("2.0", 100));
        Random random = new Random(2);
        for (int i = 0; i < 10_000; i++) {
            assertEquals("1.0", dark.draw(random::nextDouble));
            assertEquals("1.0", dark.of("user-" + i));
            assertEquals("2.0", full.draw(random::nextDouble));
            assertEquals("2.0", full.of("user-" + i));
        }
    }

    @Test
    public void raisingAWeightMovesKeysOnlyToTheCandidate() {
        String[] before = new String[20_000];
        java.util.Arrays.fill(before, "1.0");
        for (double weight = 0; weight <= 100; weight += 2.5) {
            WeightedChoice choice = new WeightedChoice("1.0", weights("2.0", weight));
            for (int i = 0; i < before.length; i++) {
                String now = choice.of("user-" + i);
                assertTrue("at " + weight, now.equals(before[i]) || now.equals("2.0"));
                before[i] = now;
            }
        }
    }

    @Test
    public void withSeveralCandidatesNoKeyLeavesTheOneThatGrows() {
        Random random = new Random(3);
        for (int round = 0; round < 200; round++) {
            double other = random.nextDouble() * 40;
            double low = random.nextDouble() * 30;
            double high = low + random.nextDouble() * 30;
            WeightedChoice smaller = new WeightedChoice("1.0", weights("2.0", low, "3.0", other));
            WeightedChoice larger = new WeightedChoice("1.0", weights("2.0", high, "3.0", other));
            for (int i = 0; i < 500; i++) {
                String key = "user-" + i;
                assertTrue(!smaller.of(key).equals("2.0") || larger.of(key).equals("2.0"));
            }
        }
    }
}
