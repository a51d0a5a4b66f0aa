package org.torchserve.rollout.gateway;

import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.pytorch.serve.grpc.inference.PredictionResponse;
import org.pytorch.serve.grpc.inference.PredictionsRequest;
import org.pytorch.serve.http.BadRequestException;
import org.pytorch.serve.util.ConfigManager;
import org.torchserve.rollout.routing.Exchange;
import org.torchserve.rollout.routing.Problem;

/** One call of StreamPredictions2: many requests, routed each by itself; it ends when the client is done and all are answered. */
final class GrpcConversation implements StreamObserver<PredictionsRequest> {
    private final StreamObserver<PredictionResponse> client;
    private final GrpcInference service;
    private final GrpcHeaders headers = GrpcHeaders.current();
    /** Complete once they have begun: a client may leave before that. */
    private final Set<CompletableFuture<Exchange>> underWay = ConcurrentHashMap.newKeySet();
    private boolean isDone;

    GrpcConversation(ServerCallStreamObserver<PredictionResponse> observer, GrpcInference service) {
        this.client = new GrpcClient(observer);
        this.service = service;
        observer.setOnCancelHandler(this::gone);
    }

    @Override
    public void onNext(PredictionsRequest request) {
        CompletableFuture<Exchange> exchange = new CompletableFuture<>();
        underWay.add(exchange);
        String sequenceId = sequenceId(request);
        GrpcCaller caller =
                new GrpcCaller(GrpcCaller.Call.MANY, client, headers, sequenceId, () -> ended(exchange));
        if (sequenceId == null) {
            caller.refuse(
                    new Problem(400, BadRequestException.class.getSimpleName(), "Parameter sequenceId is required."));
        } else {
            service.begin(request, sequenceId, headers, caller, exchange);
        }
    }

    /** The request's own, or a new one for a request that says that a sequence starts; else null. */
    private static String sequenceId(PredictionsRequest request) {
        if (!request.getSequenceId().isEmpty()) {
            return request.getSequenceId();
        }
        String start = ConfigManager.getInstance().getTsHeaderKeySequenceStart();
        return GrpcInference.isTrue(request, start) ? "ts-seq-" + UUID.randomUUID() : null;
    }

    private void ended(CompletableFuture<Exchange> exchange) {
        underWay.remove(exchange);
        completeWhenAllAreAnswered();
    }

    @Override
    public void onCompleted() {
        synchronized (this) {
            isDone = true;
        }
        completeWhenAllAreAnswered();
    }

    private synchronized void completeWhenAllAreAnswered() {
        if (isDone && underWay.isEmpty()) {
            isDone = false;
            client.onCompleted();
        }
    }

    @Override
    public void onError(Throwable cancelled) {
        gone();
    }

    private void gone() {
        underWay.forEach(exchange -> exchange.thenAccept(Exchange::callerGone));
    }
}
