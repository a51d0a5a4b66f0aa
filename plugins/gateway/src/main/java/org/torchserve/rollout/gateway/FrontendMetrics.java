package org.torchserve.rollout.gateway;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.pytorch.serve.job.Job;
import org.pytorch.serve.job.RestJob;
import org.pytorch.serve.metrics.IMetric;
import org.pytorch.serve.metrics.MetricCache;
import org.pytorch.serve.util.ConfigManager;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** TorchServe's own metrics of its front end, counted as TorchServe does, but always with the real version. */
final class FrontendMetrics {
    private static final double NANOS_PER_MICROSECOND = 1000;
    // Where TorchServe's users look for these lines.
    private static final Logger logger = LoggerFactory.getLogger(RestJob.class);

    private FrontendMetrics() {}

    /** A request is handed to a version. */
    static void requested(String model, String version) {
        add("ts_inference_requests_total", Arrays.asList(model, version, host()), 1);
    }

    /** A job has its whole answer. */
    static void answered(Job job) {
        long nowNanos = System.nanoTime();
        long waitedNanos = job.getScheduled() - job.getBegin();
        List<String> labels = Arrays.asList(job.getModelName(), job.getModelVersion(), host());
        add("ts_inference_latency_microseconds", labels, (nowNanos - job.getBegin()) / NANOS_PER_MICROSECOND);
        add("ts_queue_latency_microseconds", labels, waitedNanos / NANOS_PER_MICROSECOND);
        add("QueueTime", Arrays.asList("Host", host()), TimeUnit.NANOSECONDS.toMillis(waitedNanos));
        logger.debug("Waiting time ns: {}, Backend time ns: {}", waitedNanos, nowNanos - job.getScheduled());
    }

    private static String host() {
        return ConfigManager.getInstance().getHostName();
    }

    private static void add(String name, List<String> labels, double value) {
        IMetric metric = MetricCache.getInstance().getMetricFrontend(name);
        if (metric != null) {
            try {
                metric.addOrUpdate(labels, value);
            } catch (RuntimeException otherLabels) {
                // metrics.yaml is the user's, and may declare other labels than ours: no reason to fail a request
                logger.warn("Cannot count in {}: {}", name, otherLabels.getMessage());
            }
        }
    }
}
