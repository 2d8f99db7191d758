using System.Text.RegularExpressions;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Transcripts;

/// <summary>Plays a transcript to a server on a port of 127.0.0.1 and tells the first difference.</summary>
internal static class TranscriptPlayer
{
    private static readonly TimeSpan MessageLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan MatchLimit = TimeSpan.FromSeconds(1);

    /// <summary>Plays every step.</summary>
    /// <param name="transcript">The script.</param>
    /// <param name="port">The server's port.</param>
    /// <param name="arrived">The messages that have arrived for the transcript's own address so far.</param>
    /// <param name="token">Gives up.</param>
    /// <returns>Null if all was as written, otherwise what was not.</returns>
    public static async Task<string?> PlayAsync(
        Transcript transcript, int port, Func<IReadOnlyList<SinkMessage>> arrived, CancellationToken token)
    {
        using var conversation = await SmtpConversation.ConnectAsync(port, token);
        var hasEnded = false;
        foreach (var step in transcript.Steps)
        {
            var fault = step switch
            {
                SendStep send => await SendAsync(conversation, send, token),
                ReplyStep reply => await CompareAsync(conversation, reply, token),
                EndStep => await ReadEndAsync(conversation, token),
                MessagesStep messages => await CountAsync(messages, arrived, token),
                BodyStep body => Search(body, arrived()),
                _ => throw new InvalidOperationException($"Unknown step {step}"),
            };
            hasEnded |= step is EndStep;
            if (fault is not null)
            {
                return $"line {step.Line}: {fault}";
            }
        }

        if (hasEnded)
        {
            return null;
        }

        // What the transcript does not mention must not be there: the server has nothing to say to a client that leaves.
        conversation.EndOfSending();
        return await ReadEndAsync(conversation, token) is { } rest ? $"after the end: {rest}" : null;
    }

    private static async Task<string?> SendAsync(SmtpConversation conversation, SendStep step, CancellationToken token)
    {
        try
        {
            await conversation.SendAsync(step.Octets, token);
            return null;
        }
        catch (System.Net.Sockets.SocketException e)
        {
            return $"could not send: {e.Message}";
        }
    }

    private static async Task<string?> CompareAsync(SmtpConversation conversation, ReplyStep step, CancellationToken token)
    {
        SmtpReply reply;
        try
        {
            reply = await conversation.ReadReplyAsync(token);
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException or TimeoutException)
        {
            return $"wanted {step.Patterns[0]}, but: {e.Message}";
        }

        // The keywords of EHLO may come in any order; every other reply is compared line by line.
        var isKeywords = step.Patterns.Count > 1 && step.Patterns[0].StartsWith("250-", StringComparison.Ordinal);
        var matches = isKeywords
            ? step.Patterns.All(pattern => reply.Lines.Any(line => IsMatch(AnyHyphen(pattern), line)))
            : step.Patterns.Count == reply.Lines.Count && step.Patterns.Zip(reply.Lines).All(pair => IsMatch(pair.First, pair.Second));
        return matches ? null : $"wanted {string.Join(" / ", step.Patterns)}, got {reply}";
    }

    private static string AnyHyphen(string pattern) => pattern[..3] + "[- ]" + pattern[4..];

    private static async Task<string?> ReadEndAsync(SmtpConversation conversation, CancellationToken token)
    {
        try
        {
            return await conversation.ReadLineAsync(token) is { } line ? $"wanted the end of the connection, got {line}" : null;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return null; // A reset is an end, too.
        }
        catch (TimeoutException)
        {
            return "the server did not close the connection";
        }
    }

    private static async Task<string?> CountAsync(MessagesStep step, Func<IReadOnlyList<SinkMessage>> arrived, CancellationToken token)
    {
        try
        {
            await Deadline.UntilAsync(() => arrived().Count >= step.Count, MessageLimit, () => "", token);
        }
        catch (TimeoutException)
        {
            // Told below.
        }

        return arrived().Count == step.Count ? null : $"{arrived().Count} messages arrived, not {step.Count}";
    }

    private static string? Search(BodyStep step, IReadOnlyList<SinkMessage> messages)
    {
        var found = messages.Any(each => Regex.IsMatch(each.Text, step.Pattern, RegexOptions.Multiline, MatchLimit));
        return found == step.IsWanted ? null : $"{(found ? "a" : "no")} message matches {step.Pattern}: {(messages.Count > 0 ? messages[^1].Text : "none arrived")}";
    }

    private static bool IsMatch(string pattern, string line) => Regex.IsMatch(line, $"^(?:{pattern})$", RegexOptions.None, MatchLimit);
}
