package org.torchserve.rollout.gateway;

import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import org.torchserve.rollout.routing.Served;

/**
 * The headers of one gRPC call: those of the request are read here, those of the answer go out with its first message, or
 * with its status if that comes first.
 */
final class GrpcHeaders {
    private static final Context.Key<GrpcHeaders> CURRENT = Context.key("rollout-headers");

    private final Metadata request;
    private volatile Served served;

    GrpcHeaders(Metadata request) {
        this.request = request;
    }

    /** The headers of the call being started. */
    static GrpcHeaders current() {
        return CURRENT.get();
    }

    /** The value of a request header, or null. */
    String get(String name) {
        try {
            return request.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
        } catch (IllegalArgumentException noNameForGrpc) {
            return null;
        }
    }

    /** Which version answers; of a call with several requests the latest. */
    void served(Served by) {
        served = by;
    }

    private void mark(Metadata answer) {
        Served by = served;
        if (by != null) {
            answer.put(Metadata.Key.of(HttpCaller.MODEL_VERSION.toString(), Metadata.ASCII_STRING_MARSHALLER), by.version());
            if (by.failover()) {
                answer.put(Metadata.Key.of(HttpCaller.FAILOVER.toString(), Metadata.ASCII_STRING_MARSHALLER), "1");
            }
        }
    }

    static final class Interceptor implements ServerInterceptor {
        @Override
        public <Q, A> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, A> call, Metadata request, ServerCallHandler<Q, A> next) {
            GrpcHeaders headers = new GrpcHeaders(request);
            ServerCall<Q, A> marked =
                    new SimpleForwardingServerCall<>(call) {
                        private boolean isMarked;

                        @Override
                        public void sendHeaders(Metadata answer) {
                            isMarked = true;
                            headers.mark(answer);
                            super.sendHeaders(answer);
                        }

                        @Override
                        public void close(Status status, Metadata trailers) {
                            if (!isMarked) {
                                headers.mark(trailers);
                            }
                            super.close(status, trailers);
                        }
                    };
            return Contexts.interceptCall(Context.current().withValue(CURRENT, headers), marked, request, next);
        }
    }
}
