package org.torchserve.rollout.gateway;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import java.nio.charset.StandardCharsets;
import org.junit.After;
import org.junit.Test;

public class SizeLimitTest {
    private static final int LIMIT = 10;
    private static final String SMALL = "POST /small HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    private static final String LARGE = "POST /large HTTP/1.1\r\nContent-Length: 20\r\n\r\n" + "x".repeat(20);

    private final EmbeddedChannel channel =
            new EmbeddedChannel(
                    new HttpServerCodec(), new SizeLimit(LIMIT), new Connection(), new SizeLimit.Refusals(LIMIT));

    @After
    public void close() {
        channel.finishAndReleaseAll();
    }

    private void receive(String bytes) {
        channel.writeInbound(Unpooled.copiedBuffer(bytes, StandardCharsets.US_ASCII));
    }

    /** The path of the next request that came through, which is answered at once; null if there is none. */
    private String answered() {
        FullHttpRequest request = channel.readInbound();
        if (request == null) {
            return null;
        }
        String uri = request.uri();
        request.release();
        DefaultFullHttpResponse answer = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK);
        HttpUtil.setContentLength(answer, 0);
        channel.writeOutbound(answer);
        channel.runPendingTasks();
        return uri;
    }

    /** What was sent since the last look. */
    private String sent() {
        StringBuilder sent = new StringBuilder();
        for (ByteBuf part = channel.readOutbound(); part != null; part = channel.readOutbound()) {
            sent.append(part.toString(StandardCharsets.US_ASCII));
            part.release();
        }
        return sent.toString();
    }

    @Test
    public void aRequestThatIsTooLargeWaitsForTheAnswersBeforeIt() {
        receive(SMALL + LARGE + SMALL);
        assertEquals("", sent());
        assertEquals("/small", answered());
        assertEquals("/small", answered());
        String sent = sent();
        assertEquals("200 413 200 ", sent.replaceAll("(?s)HTTP/1.1 (\\d{3}).*?(?=HTTP/1.1|\\z)", "$1 "));
        assertTrue(sent, sent.contains("larger than 10 bytes, max_request_size"));
        assertTrue(channel.isOpen());
    }

    @Test
    public void aClientWhoAsksBeforeSendingIsRefusedAndMayGoOnWithAnother() {
        receive("POST /large HTTP/1.1\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n");
        assertTrue(sent().startsWith("HTTP/1.1 413 "));
        receive(SMALL);
        assertEquals("/small", answered());
    }

    @Test
    public void aClientWhoAsksBeforeSendingWhatIsSmallIsToldToGoOn() {
        receive("POST /small HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        assertTrue(sent().startsWith("HTTP/1.1 100 "));
        receive("body");
        assertEquals("/small", answered());
    }

    @Test
    public void aBodyOfUntoldLengthThatGrowsTooLargeEndsTheConnectionInItsTurn() {
        receive(SMALL + "POST /large HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + "x".repeat(11) + "\r\n");
        assertTrue(channel.isOpen());
        assertEquals("/small", answered());
        String sent = sent();
        assertTrue(sent, sent.indexOf("200 OK") < sent.indexOf("413 ") && sent.contains("connection: close"));
        assertFalse(channel.isOpen());
    }

    @Test
    public void aClientWhoWantsNoFurtherRequestGetsNoFurtherAnswer() {
        receive(LARGE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        assertTrue(sent().contains("413 "));
        assertFalse(channel.isOpen());
    }
}
