package org.torchserve.rollout.controller;

import static org.junit.Assert.assertEquals;

import java.time.Duration;
import org.junit.Test;

public class BackoffTest {
    @Test
    public void waitsDoubleUpToAMinuteAndStartAnewAfterALongRun() {
        Backoff backoff = new Backoff();
        int[] expected = {1, 2, 4, 8, 16, 32, 60, 60};
        for (int seconds : expected) {
            assertEquals(Duration.ofSeconds(seconds), backoff.after(Duration.ofSeconds(5)));
        }
        assertEquals(Duration.ofSeconds(1), backoff.after(Duration.ofMinutes(2)));
        assertEquals(Duration.ofSeconds(2), backoff.after(Duration.ofSeconds(5)));
    }
}
