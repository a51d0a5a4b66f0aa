package org.torchserve.rollout.routing;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

public class BreakerTest {
    @Test
    public void opensOnConsecutiveFailuresAndSaysWhy() {
        Breaker breaker = new Breaker(new BreakerSettings(3, 20, 0));
        assertFalse(breaker.note(Outcome.MODEL_ERROR, 1));
        assertFalse(breaker.note(Outcome.TIMEOUT, 2));
        assertTrue(breaker.note(Outcome.WORKER_DIED, 3));
        assertTrue(breaker.isOpen());
        assertEquals("3 consecutive failures", breaker.trip().reason());
        assertEquals(3, breaker.trip().atNanos());
    }

    @Test
    public void aGoodAnswerEndsTheRow() {
        Breaker breaker = new Breaker(new BreakerSettings(2, 20, 0));
        for (int i = 0; i < 50; i++) {
            breaker.note(Outcome.MODEL_ERROR, i);
            breaker.note(i % 2 == 0 ? Outcome.OK : Outcome.CLIENT_ERROR, i);
        }
        assertFalse(breaker.isOpen());
    }

    @Test
    public void outcomesThatSayNothingAboutTheVersionNeitherCountNorEndTheRow() {
        Breaker breaker = new Breaker(new BreakerSettings(2, 20, 0));
        breaker.note(Outcome.MODEL_ERROR, 1);
        for (int i = 0; i < 50; i++) {
            breaker.note(Outcome.NO_CAPACITY, i);
            breaker.note(Outcome.BAD_INPUT, i);
            breaker.note(Outcome.CLIENT_GONE, i);
        }
        assertFalse(breaker.isOpen());
        assertTrue(breaker.note(Outcome.STREAM_BROKEN, 100));
    }

    @Test
    public void opensOnFailuresSpreadOverTheWindow() {
        Breaker breaker = new Breaker(new BreakerSettings(0, 10, 4));
        for (int i = 0; i < 3; i++) {
            assertFalse(breaker.note(Outcome.MODEL_ERROR, i));
            breaker.note(Outcome.OK, i);
        }
        assertTrue(breaker.note(Outcome.MODEL_ERROR, 9));
        assertEquals("4 failures in the last 10 attempts", breaker.trip().reason());
    }

    @Test
    public void failuresThatLeftTheWindowAreForgotten() {
        Breaker breaker = new Breaker(new BreakerSettings(0, 10, 4));
        for (int i = 0; i < 500; i++) {
            breaker.note(i % 4 == 0 ? Outcome.MODEL_ERROR : Outcome.OK, i);
        }
        assertFalse("3 of any 10 attempts failed, never 4", breaker.isOpen());
    }

    @Test
    public void nothingClosesItAgainAndItTripsOnce() {
        Breaker breaker = new Breaker(new BreakerSettings(1, 1, 0));
        assertTrue(breaker.note(Outcome.MODEL_ERROR, 1));
        for (int i = 0; i < 100; i++) {
            assertFalse(breaker.note(i % 2 == 0 ? Outcome.OK : Outcome.MODEL_ERROR, i));
        }
        assertTrue(breaker.isOpen());
        assertEquals(1, breaker.trip().atNanos());
    }

    @Test
    public void bothLimitsCanBeOff() {
        Breaker breaker = new Breaker(new BreakerSettings(0, 20, 0));
        for (int i = 0; i < 1000; i++) {
            breaker.note(Outcome.MODEL_ERROR, i);
        }
        assertFalse(breaker.isOpen());
    }
}
