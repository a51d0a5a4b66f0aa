package org.torchserve.rollout.gateway;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.rpc.ErrorInfo;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import org.pytorch.serve.grpc.inference.PredictionResponse;
import org.pytorch.serve.util.GRPCUtils;
import org.torchserve.rollout.routing.Answer;
import org.torchserve.rollout.routing.Caller;
import org.torchserve.rollout.routing.Problem;
import org.torchserve.rollout.routing.Served;

/** Whoever waits for the answer to one gRPC request. The three calls differ in what a message and an error are. */
final class GrpcCaller implements Caller {
    /** The call of a request. */
    enum Call {
        /** One request, one message. */
        UNARY,
        /** One request, a stream of messages. */
        STREAM,
        /** Many requests, a stream of messages for all of them: errors are messages too. */
        MANY
    }

    private static final String BROKEN = "StreamBrokenException";

    private final Call call;
    private final StreamObserver<PredictionResponse> client;
    private final GrpcHeaders headers;
    private final String sequenceId;
    private final Runnable whenDone;
    private ByteString soFar = ByteString.EMPTY;

    /**
     * @param sequenceId told with each message; null for calls that have none
     * @param whenDone run after the last message of this request
     */
    GrpcCaller(
            Call call,
            StreamObserver<PredictionResponse> client,
            GrpcHeaders headers,
            String sequenceId,
            Runnable whenDone) {
        this.call = call;
        this.client = client;
        this.headers = headers;
        this.sequenceId = sequenceId;
        this.whenDone = whenDone;
    }

    @Override
    public void answer(Answer answer, Served served) {
        headers.served(served);
        boolean last = answer.part() != Answer.Part.MORE;
        ByteString body = ByteString.copyFrom(answer.body());
        if (call == Call.UNARY) {
            // A handler that streams to a caller who takes one message: all parts in one.
            soFar = soFar.concat(body);
            if (!last) {
                return;
            }
            body = soFar;
        }
        client.onNext(message().setPrediction(body).build());
        if (last) {
            end();
        }
    }

    @Override
    public void problem(Problem problem, Served served) {
        headers.served(served);
        fail(problem);
    }

    @Override
    public void breakOff(String message) {
        fail(new Problem(500, BROKEN, message));
    }

    /** A request that goes nowhere. */
    void refuse(Problem problem) {
        fail(problem);
    }

    private void fail(Problem problem) {
        if (call == Call.MANY) {
            client.onNext(message().setStatus(rpcStatus(problem)).build());
        } else {
            client.onError(status(problem).asRuntimeException());
        }
        whenDone.run();
    }

    private void end() {
        if (call != Call.MANY) {
            client.onCompleted();
        }
        whenDone.run();
    }

    private PredictionResponse.Builder message() {
        PredictionResponse.Builder message = PredictionResponse.newBuilder();
        return sequenceId == null ? message : message.setSequenceId(sequenceId);
    }

    private static Status status(Problem problem) {
        return GRPCUtils.getGRPCStatusCode(problem.status())
                .withDescription(problem.message())
                .augmentDescription(problem.type());
    }

    private static com.google.rpc.Status rpcStatus(Problem problem) {
        ErrorInfo info = ErrorInfo.newBuilder().setReason(problem.type()).build();
        return com.google.rpc.Status.newBuilder()
                .setCode(GRPCUtils.getGRPCStatusCode(problem.status()).getCode().value())
                .setMessage(problem.message())
                .addDetails(Any.pack(info))
                .build();
    }
}
