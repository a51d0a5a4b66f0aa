package org.torchserve.rollout.gateway;

import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.QueryStringDecoder;
import io.netty.handler.codec.http.multipart.DefaultHttpDataFactory;
import io.netty.handler.codec.http.multipart.HttpPostRequestDecoder;
import java.util.List;
import java.util.Map;
import org.pytorch.serve.http.BadRequestException;
import org.pytorch.serve.util.ConfigManager;
import org.pytorch.serve.util.NettyUtils;
import org.pytorch.serve.util.messages.InputParameter;
import org.pytorch.serve.util.messages.RequestInput;

/** Turns an HTTP request into what a handler receives, as TorchServe's InferenceRequestHandler does. */
final class RequestReader {
    private RequestReader() {}

    static RequestInput read(String requestId, FullHttpRequest request, QueryStringDecoder decoder, Target target) {
        RequestInput input = new RequestInput(requestId);
        if (target.withQuery()) {
            for (Map.Entry<String, List<String>> each : decoder.parameters().entrySet()) {
                each.getValue().forEach(value -> input.addParameter(new InputParameter(each.getKey(), value)));
            }
        }
        for (Map.Entry<String, String> header : request.headers()) {
            input.updateHeaders(header.getKey(), header.getValue());
        }
        if (target.urlPath() != null) {
            input.updateHeaders("url_path", target.urlPath());
        }
        if (target.explain() != null) {
            input.updateHeaders("explain", target.explain());
        }
        String contentType = mimeType(request.headers().get(HttpHeaderNames.CONTENT_TYPE));
        if (target.isOpenAi()) {
            input.addParameter(new Body(bytes(request.content()), HttpHeaderValues.APPLICATION_JSON));
        } else if (HttpPostRequestDecoder.isMultipart(request)
                || HttpHeaderValues.APPLICATION_X_WWW_FORM_URLENCODED.contentEqualsIgnoreCase(contentType)) {
            readForm(request, input);
        } else {
            input.addParameter(new Body(bytes(request.content()), contentType));
        }
        return input;
    }

    /** The type without its parameters, or null. Netty's own method goes through it character by character. */
    private static String mimeType(String contentType) {
        if (contentType == null || contentType.isEmpty()) {
            return null;
        }
        int semicolon = contentType.indexOf(';');
        return semicolon < 0 ? contentType : contentType.substring(0, semicolon);
    }

    private static void readForm(FullHttpRequest request, RequestInput input) {
        HttpPostRequestDecoder form;
        try {
            int limit = ConfigManager.getInstance().getMaxRequestSize();
            form = new HttpPostRequestDecoder(new DefaultHttpDataFactory(limit), request);
        } catch (HttpPostRequestDecoder.ErrorDataDecoderException malformed) {
            throw new BadRequestException("The form in the body cannot be read: " + malformed.getMessage());
        }
        try {
            while (form.hasNext()) {
                input.addParameter(NettyUtils.getFormData(form.next()));
            }
        } catch (HttpPostRequestDecoder.EndOfDataDecoderException end) {
            // how netty says that there are no more items
        } finally {
            form.cleanFiles();
            form.destroy();
        }
    }

    private static byte[] bytes(ByteBuf content) {
        byte[] bytes = new byte[content.readableBytes()];
        content.getBytes(content.readerIndex(), bytes);
        return bytes;
    }

    /** The whole body; InputParameter itself would copy it once more. */
    private static final class Body extends InputParameter {
        private final byte[] bytes;

        private Body(byte[] bytes, CharSequence contentType) {
            super("body", EMPTY, contentType);
            this.bytes = bytes;
        }

        private static final byte[] EMPTY = new byte[0];

        @Override
        public byte[] getValue() {
            return bytes;
        }
    }
}
