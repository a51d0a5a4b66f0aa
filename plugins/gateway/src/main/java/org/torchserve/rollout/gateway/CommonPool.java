package org.torchserve.rollout.gateway;

import java.util.concurrent.ForkJoinPool;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Room in the JVM's common pool, in which TorchServe writes each batch to its worker. A worker that reads nothing (stopped,
 * or stuck in native code) blocks a thread there as soon as its socket is full. The pool has one thread less than there are
 * cores: with as many such workers nobody's requests would reach a worker any more, stable's neither.
 */
final class CommonPool {
    private static final Logger logger = LoggerFactory.getLogger(CommonPool.class);
    private static final String PARALLELISM = "java.util.concurrent.ForkJoinPool.common.parallelism";
    /** More than one TorchServe has workers; threads are made when they are needed, and end when they are not. */
    private static final int THREADS = 256;

    private CommonPool() {}

    /** Widens the pool unless the user chose its size. Has to come before its first use, which fixes its size. */
    static void widen() {
        if (System.getProperty(PARALLELISM) != null) {
            return;
        }
        System.setProperty(PARALLELISM, Integer.toString(THREADS));
        if (ForkJoinPool.getCommonPoolParallelism() != THREADS) {
            logger.warn(
                    "The JVM's common pool has {} threads already: as many workers that read nothing would stop every model."
                            + " Add -D{}={} to vmargs in config.properties.",
                    ForkJoinPool.getCommonPoolParallelism(),
                    PARALLELISM,
                    THREADS);
        }
    }
}
