package org.torchserve.rollout.gateway;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.DefaultHttpContent;
import io.netty.handler.codec.http.DefaultHttpResponse;
import io.netty.handler.codec.http.DefaultLastHttpContent;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.util.AsciiString;
import java.nio.charset.StandardCharsets;
import org.pytorch.serve.util.NettyUtils;
import org.torchserve.rollout.routing.Answer;
import org.torchserve.rollout.routing.Caller;
import org.torchserve.rollout.routing.Problem;
import org.torchserve.rollout.routing.Served;

/** The client of one HTTP request. */
final class HttpCaller implements Caller {
    static final AsciiString MODEL_VERSION = AsciiString.cached("x-model-version");
    static final AsciiString FAILOVER = AsciiString.cached("x-rollout-failover");
    private static final String EVENT_STREAM = "text/event-stream";

    private final ChannelHandlerContext ctx;
    private final ErrorForm errors;
    private boolean streaming;
    private boolean eventStream;

    HttpCaller(ChannelHandlerContext ctx, ErrorForm errors) {
        this.ctx = ctx;
        this.errors = errors;
    }

    @Override
    public void answer(Answer answer, Served served) {
        ByteBuf body = Unpooled.wrappedBuffer(answer.body());
        if (answer.part() == Answer.Part.LAST) {
            ctx.writeAndFlush(new DefaultLastHttpContent(body));
        } else if (streaming) {
            ctx.writeAndFlush(new DefaultHttpContent(body));
        } else {
            begin(answer, served, body);
        }
    }

    private void begin(Answer answer, Served served, ByteBuf body) {
        boolean whole = answer.part() == Answer.Part.WHOLE;
        HttpResponse response = response(answer, served, body);
        NettyUtils.sendHttpResponse(ctx, response, true);
        if (!whole) {
            streaming = true;
            eventStream = String.valueOf(response.headers().get(HttpHeaderNames.CONTENT_TYPE)).startsWith(EVENT_STREAM);
            ctx.writeAndFlush(new DefaultHttpContent(body));
        }
    }

    private static HttpResponse response(Answer answer, Served served, ByteBuf body) {
        HttpResponseStatus status =
                answer.reason() == null
                        ? HttpResponseStatus.valueOf(answer.status())
                        : new HttpResponseStatus(answer.status(), answer.reason());
        // What the handler set was checked when it came (AttemptJob), the rest is ours: not every character again.
        HttpResponse response =
                answer.part() == Answer.Part.WHOLE
                        ? new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, status, body, false)
                        : new DefaultHttpResponse(HttpVersion.HTTP_1_1, status, false);
        if (answer.contentType() != null && answer.contentType().length() > 0) {
            response.headers().set(HttpHeaderNames.CONTENT_TYPE, answer.contentType());
        }
        if (answer.headers() != null) {
            answer.headers().forEach((name, value) -> response.headers().set(name, value));
        }
        mark(response, served);
        return response;
    }

    private static void mark(HttpResponse response, Served served) {
        response.headers().set(MODEL_VERSION, served.version());
        if (served.failover()) {
            response.headers().set(FAILOVER, "1");
        }
    }

    @Override
    public void problem(Problem problem, Served served) {
        DefaultFullHttpResponse response =
                new DefaultFullHttpResponse(
                        HttpVersion.HTTP_1_1,
                        HttpResponseStatus.valueOf(problem.status()),
                        Unpooled.copiedBuffer(errors.json(problem) + "\n", StandardCharsets.UTF_8));
        response.headers().set(HttpHeaderNames.CONTENT_TYPE, HttpHeaderValues.APPLICATION_JSON);
        mark(response, served);
        NettyUtils.sendHttpResponse(ctx, response, true);
    }

    /** An error in the stream's own form, then the end of the connection without the last chunk: nobody can take it for whole. */
    @Override
    public void breakOff(String message) {
        String error = errors.json(new Problem(500, "StreamBrokenException", message)).replace("\n", "");
        String event = eventStream ? "event: error\ndata: " + error + "\n\n" : "\n" + error + "\n";
        ctx.writeAndFlush(new DefaultHttpContent(Unpooled.copiedBuffer(event, StandardCharsets.UTF_8)))
                .addListener(ChannelFutureListener.CLOSE);
    }
}
