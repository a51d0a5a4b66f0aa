package org.torchserve.rollout.routing;

import java.util.Map;

/**
 * What a handler said, or a part of it.
 *
 * @param reason the handler's own reason phrase, or null
 * @param contentType may be null
 * @param headers the handler's response headers; may be null
 */
public record Answer(
        int status, String reason, CharSequence contentType, Map<String, String> headers, byte[] body, Part part) {
    /** Which part of an answer this is. */
    public enum Part {
        WHOLE,
        /** More of the stream follows. */
        MORE,
        /** The stream's end. */
        LAST
    }
}
