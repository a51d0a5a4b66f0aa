package org.torchserve.rollout.gateway;

import io.prometheus.client.Collector;
import io.prometheus.client.GaugeMetricFamily;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.LongSupplier;
import org.torchserve.rollout.routing.Breaker;
import org.torchserve.rollout.routing.Exchanges;
import org.torchserve.rollout.routing.PolicyBook;
import org.torchserve.rollout.routing.PolicyInForce;

/** The gauges of the policies in force and of the requests under way, worked out when somebody looks. */
final class PolicyCollector extends Collector {
    private static final List<String> BY_MODEL = List.of("model");
    private static final List<String> BY_VERSION = List.of("model", "version");

    private final PolicyBook policies;
    private final Exchanges exchanges;
    private final GatewayMetrics metrics;
    private final LongSupplier nanoClock;

    PolicyCollector(PolicyBook policies, Exchanges exchanges, GatewayMetrics metrics, LongSupplier nanoClock) {
        this.policies = policies;
        this.exchanges = exchanges;
        this.metrics = metrics;
        this.nanoClock = nanoClock;
    }

    @Override
    public List<MetricFamilySamples> collect() {
        long now = nanoClock.getAsLong();
        GaugeMetricFamily lease =
                new GaugeMetricFamily("ts_rollout_lease_valid", "1 while the policy's lease is valid.", BY_MODEL);
        GaugeMetricFamily epoch =
                new GaugeMetricFamily("ts_rollout_policy_epoch", "Epoch of the policy in force.", BY_MODEL);
        GaugeMetricFamily weight =
                new GaugeMetricFamily("ts_rollout_weight_pct", "Effective weight, in percent.", BY_VERSION);
        GaugeMetricFamily open =
                new GaugeMetricFamily(
                        "ts_rollout_breaker_open", "1 while the breaker of a candidate is open.", BY_VERSION);
        for (PolicyInForce each : policies.all()) {
            String model = each.policy().model();
            lease.addMetric(List.of(model), each.isLeaseValid(now) ? 1 : 0);
            epoch.addMetric(List.of(model), each.policy().epoch());
            each.effectiveWeights(now)
                    .forEach((version, percent) -> weight.addMetric(List.of(model, version), percent));
            for (Map.Entry<String, Breaker> breaker : each.breakers().entrySet()) {
                open.addMetric(List.of(model, breaker.getKey()), breaker.getValue().isOpen() ? 1 : 0);
            }
        }
        return new ArrayList<>(List.of(lease, epoch, weight, open, inFlight()));
    }

    private GaugeMetricFamily inFlight() {
        GaugeMetricFamily family =
                new GaugeMetricFamily("ts_rollout_in_flight", "Attempts not yet answered.", BY_VERSION);
        Map<String, Map<String, Integer>> counts = exchanges.inFlight();
        Map<String, TreeSet<String>> versions = new TreeMap<>();
        metrics.versionsSeen().forEach((model, seen) -> versions.put(model, new TreeSet<>(seen)));
        counts.forEach(
                (model, counted) ->
                        versions.computeIfAbsent(model, name -> new TreeSet<>()).addAll(counted.keySet()));
        versions.forEach(
                (model, names) ->
                        names.forEach(
                                version ->
                                        family.addMetric(
                                                List.of(model, version),
                                                counts.getOrDefault(model, Map.of()).getOrDefault(version, 0))));
        return family;
    }
}
