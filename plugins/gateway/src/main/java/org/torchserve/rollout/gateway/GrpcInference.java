package org.torchserve.rollout.gateway;

import com.google.protobuf.ByteString;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.pytorch.serve.archive.model.ModelNotFoundException;
import org.pytorch.serve.archive.model.ModelVersionNotFoundException;
import org.pytorch.serve.grpc.inference.PredictionResponse;
import org.pytorch.serve.grpc.inference.PredictionsRequest;
import org.pytorch.serve.grpcimpl.InferenceImpl;
import org.pytorch.serve.http.BadRequestException;
import org.pytorch.serve.util.ConfigManager;
import org.pytorch.serve.util.messages.InputParameter;
import org.pytorch.serve.util.messages.RequestInput;
import org.torchserve.rollout.routing.Exchange;
import org.torchserve.rollout.routing.Problem;
import org.torchserve.rollout.routing.Route;

/** TorchServe's gRPC inference service, with the traffic policy in between. */
final class GrpcInference extends InferenceImpl {
    private final Inferences inferences;

    GrpcInference(Inferences inferences) {
        this.inferences = inferences;
    }

    @Override
    public void predictions(PredictionsRequest request, StreamObserver<PredictionResponse> client) {
        one(GrpcCaller.Call.UNARY, request, client);
    }

    @Override
    public void streamPredictions(PredictionsRequest request, StreamObserver<PredictionResponse> client) {
        one(GrpcCaller.Call.STREAM, request, client);
    }

    @Override
    public StreamObserver<PredictionsRequest> streamPredictions2(StreamObserver<PredictionResponse> client) {
        return new GrpcConversation((ServerCallStreamObserver<PredictionResponse>) client, this);
    }

    private void one(GrpcCaller.Call call, PredictionsRequest request, StreamObserver<PredictionResponse> client) {
        ServerCallStreamObserver<PredictionResponse> observer = (ServerCallStreamObserver<PredictionResponse>) client;
        CompletableFuture<Exchange> exchange = new CompletableFuture<>();
        observer.setOnCancelHandler(() -> exchange.thenAccept(Exchange::callerGone));
        GrpcHeaders headers = GrpcHeaders.current();
        GrpcCaller caller = new GrpcCaller(call, new GrpcClient(observer), headers, null, () -> {});
        begin(request, null, headers, caller, exchange);
    }

    /** Sends a request on its way, or tells the caller that there is none. */
    void begin(
            PredictionsRequest request,
            String sequenceId,
            GrpcHeaders headers,
            GrpcCaller caller,
            CompletableFuture<Exchange> begun) {
        String model = request.getModelName();
        if (model.isEmpty()) {
            caller.refuse(
                    new Problem(400, BadRequestException.class.getSimpleName(), "Parameter model_name is required."));
            return;
        }
        boolean isNamed = !request.getModelVersion().isEmpty();
        String version = isNamed ? request.getModelVersion() : headers.get(HttpCaller.MODEL_VERSION.toString());
        boolean ends = isTrue(request, ConfigManager.getInstance().getTsHeaderKeySequenceEnd());
        try {
            Route route = inferences.route(model, version, new RequestSender(headers::get, sequenceId, ends));
            begun.complete(inferences.begin(route, read(request, sequenceId), caller));
        } catch (ModelNotFoundException | ModelVersionNotFoundException unknown) {
            caller.refuse(new Problem(404, unknown.getClass().getSimpleName(), unknown.getMessage()));
        }
    }

    private static RequestInput read(PredictionsRequest request, String sequenceId) {
        RequestInput input = new RequestInput(UUID.randomUUID().toString());
        for (Map.Entry<String, ByteString> each : request.getInputMap().entrySet()) {
            input.addParameter(new InputParameter(each.getKey(), each.getValue().toByteArray()));
        }
        if (sequenceId != null) {
            ConfigManager config = ConfigManager.getInstance();
            input.updateHeaders(config.getTsHeaderKeySequenceId(), sequenceId);
            if (request.getSequenceId().isEmpty()) {
                input.updateHeaders(config.getTsHeaderKeySequenceStart(), "true");
            }
            if (isTrue(request, config.getTsHeaderKeySequenceEnd())) {
                input.updateHeaders(config.getTsHeaderKeySequenceEnd(), "true");
            }
        }
        return input;
    }

    static boolean isTrue(PredictionsRequest request, String input) {
        return Boolean.parseBoolean(request.getInputOrDefault(input, ByteString.EMPTY).toStringUtf8());
    }
}
