package org.torchserve.rollout.gateway;

import static org.junit.Assert.assertEquals;

import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.Test;
import org.pytorch.serve.grpc.inference.PredictionResponse;
import org.torchserve.rollout.routing.Answer;
import org.torchserve.rollout.routing.Problem;
import org.torchserve.rollout.routing.Served;

/** What a client hears in each of the three calls. */
public class GrpcCallerTest {
    private static final Served BY = new Served("1.0", false);
    private static final Problem LATE = new Problem(504, "GatewayTimeoutException", "late");

    private final List<String> heard = new ArrayList<>();

    private GrpcCaller caller(GrpcCaller.Call call) {
        StreamObserver<PredictionResponse> client =
                new StreamObserver<>() {
                    @Override
                    public void onNext(PredictionResponse message) {
                        heard.add(
                                message.hasStatus()
                                        ? message.getStatus().getCode() + " " + message.getStatus().getMessage()
                                        : message.getPrediction().toStringUtf8());
                    }

                    @Override
                    public void onError(Throwable error) {
                        Status status = Status.fromThrowable(error);
                        heard.add(status.getCode() + ": " + status.getDescription().replace("\n", " "));
                    }

                    @Override
                    public void onCompleted() {
                        heard.add("end");
                    }
                };
        String sequence = call == GrpcCaller.Call.MANY ? "s" : null;
        return new GrpcCaller(call, client, new GrpcHeaders(new Metadata()), sequence, () -> heard.add("done"));
    }

    private static Answer part(String text, Answer.Part part) {
        return new Answer(200, null, null, Map.of(), text.getBytes(StandardCharsets.UTF_8), part);
    }

    private List<String> afterAStream(GrpcCaller.Call call) {
        GrpcCaller caller = caller(call);
        caller.answer(part("a", Answer.Part.MORE), BY);
        caller.answer(part("b", Answer.Part.LAST), BY);
        return heard;
    }

    @Test
    public void aStreamComesPartByPart() {
        assertEquals(List.of("a", "b", "end", "done"), afterAStream(GrpcCaller.Call.STREAM));
    }

    @Test
    public void aCallForOneMessageGetsAStreamAsOne() {
        assertEquals(List.of("ab", "end", "done"), afterAStream(GrpcCaller.Call.UNARY));
    }

    @Test
    public void aConversationGoesOnAfterAnAnswer() {
        assertEquals(List.of("a", "b", "done"), afterAStream(GrpcCaller.Call.MANY));
    }

    @Test
    public void aProblemIsAStatus() {
        caller(GrpcCaller.Call.UNARY).problem(LATE, BY);
        assertEquals(List.of("DEADLINE_EXCEEDED: late GatewayTimeoutException", "done"), heard);
    }

    @Test
    public void aProblemInAConversationIsAMessage() {
        caller(GrpcCaller.Call.MANY).problem(LATE, BY);
        assertEquals(List.of("4 late", "done"), heard);
    }

    @Test
    public void aBrokenStreamIsAnError() {
        GrpcCaller caller = caller(GrpcCaller.Call.STREAM);
        caller.answer(part("a", Answer.Part.MORE), BY);
        caller.breakOff("gone");
        assertEquals(List.of("a", "INTERNAL: gone StreamBrokenException", "done"), heard);
    }
}
