package org.torchserve.rollout.gateway;

import static org.junit.Assert.assertEquals;

import org.junit.After;
import org.junit.Test;

public class CommonPoolTest {
    private static final String PARALLELISM = "java.util.concurrent.ForkJoinPool.common.parallelism";

    private final String before = System.getProperty(PARALLELISM);

    @After
    public void restore() {
        if (before == null) {
            System.clearProperty(PARALLELISM);
        } else {
            System.setProperty(PARALLELISM, before);
        }
    }

    @Test
    public void aSizeThatTheUserChoseStays() {
        System.setProperty(PARALLELISM, "3");
        CommonPool.widen();
        assertEquals("3", System.getProperty(PARALLELISM));
    }
}
