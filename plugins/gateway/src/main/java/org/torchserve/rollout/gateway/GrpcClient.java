package org.torchserve.rollout.gateway;

import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import org.pytorch.serve.grpc.inference.PredictionResponse;

/** The client's end of a gRPC call: one message at a time, and none to a client who left. */
final class GrpcClient implements StreamObserver<PredictionResponse> {
    private final ServerCallStreamObserver<PredictionResponse> observer;

    GrpcClient(ServerCallStreamObserver<PredictionResponse> observer) {
        this.observer = observer;
    }

    @Override
    public synchronized void onNext(PredictionResponse message) {
        if (!observer.isCancelled()) {
            observer.onNext(message);
        }
    }

    @Override
    public synchronized void onError(Throwable error) {
        if (!observer.isCancelled()) {
            observer.onError(error);
        }
    }

    @Override
    public synchronized void onCompleted() {
        if (!observer.isCancelled()) {
            observer.onCompleted();
        }
    }
}
