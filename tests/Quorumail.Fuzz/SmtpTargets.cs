using System.Buffers;
using System.Net;
using System.Text;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Fuzz;

/// <summary>
/// What hostile octets can reach, one method a target, in the form that SharpFuzz runs: they return, or throw when a
/// promise is broken.
/// </summary>
public static class SmtpTargets
{
    private static readonly SmtpLimits Limits = new() { MessageSizeMax = 4096, HeaderSizeMax = 1024, ReceivedFieldsMax = 5, EndlessLineMax = 4096 };
    private static readonly SmtpService Mx = new("mx.test", SmtpRole.Mx, Limits);
    private static readonly SmtpService Normalizing = new("mx.test", SmtpRole.Mx, Limits) { NormalizesLineEnds = true };
    private static readonly SmtpService Submission = new("mx.test", SmtpRole.Submission, Limits);
    private static readonly PasswordHash Hash = PasswordHash.Create("secret", "0123456789abcdef"u8, PasswordHash.IterationsMin);

    /// <summary>A whole conversation; the first octet says with what listener and in what pieces.</summary>
    public static void Session(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return;
        }

        var service = (data[0] & 3) switch { 0 => Normalizing, 1 => Submission, _ => Mx };
        var pieceLength = (data[0] >> 2) + 1;
        var session = new SmtpSession(service, IPAddress.Loopback, canStartTls: true, hasTls: service.Role == SmtpRole.Submission);
        Reply(session.Greet().Octets);
        var rest = data[1..].ToArray();
        var pending = new List<byte>();
        var run = new Run(session);
        for (var at = 0; at < rest.Length && !run.IsClosed; at += pieceLength)
        {
            pending.AddRange(rest.AsSpan(at, Math.Min(pieceLength, rest.Length - at)));
            var input = new ReadOnlySequence<byte>(pending.ToArray());
            run.Feed(ref input);
            pending = [.. input.ToArray()];
            Check(pending.Count <= Limits.AuthenticationLineMax, "input that is not used is bounded");
        }
    }

    /// <summary>A path as it stands behind FROM: or TO:.</summary>
    public static void Path(ReadOnlySpan<byte> data)
    {
        foreach (var isReverse in (ReadOnlySpan<bool>)[false, true])
        {
            foreach (var allowsUtf8 in (ReadOnlySpan<bool>)[false, true])
            {
                if (MailPath.Parse(data, isReverse, allowsUtf8, out var path, out var used) != AddressFault.None)
                {
                    continue;
                }

                Check(used <= data.Length && data[used - 1] == '>', "a path ends with its bracket");
                Check(path.Address.All(c => !char.IsControl(c) && c is not '\u2028' and not '\u2029'), "an address has no control characters");
                Check(allowsUtf8 || Ascii.IsValid(path.Address), "octets above 127 need SMTPUTF8");
                Check(path.IsNull || path.HasNoDomain || !path.Domain.EndsWith("."), "a domain has no dot at its end");
                Check(path.IsNull || path.HasNoDomain || !path.Domain.Contains('@'), "the domain begins after the last at sign");
                var again = Encoding.UTF8.GetBytes($"<{path.Address}>");
                var fault = MailPath.Parse(again, isReverse, allowsUtf8, out var same, out _);
                Check(fault == AddressFault.None && same.Address == path.Address, "an address reads back as itself");
            }
        }
    }

    /// <summary>A PROXY header, whole and octet by octet.</summary>
    public static void Proxy(ReadOnlySpan<byte> data)
    {
        var whole = new ReadOnlySequence<byte>(data.ToArray());
        var wholeStatus = ProxyHeader.Read(ref whole, out var client);
        Check(wholeStatus != ProxyHeaderStatus.NeedInput || data.Length < 2100, "a header has an end");
        for (var length = 1; length <= data.Length; length++)
        {
            var part = new ReadOnlySequence<byte>(data[..length].ToArray());
            var status = ProxyHeader.Read(ref part, out var same);
            if (status == ProxyHeaderStatus.NeedInput)
            {
                continue;
            }

            Check(status == wholeStatus && Equals(same, client), "a header reads the same however it arrives");
            return;
        }
    }

    private static void Reply(ReadOnlySpan<byte> octets)
    {
        Check(octets.Length >= 6 && octets.EndsWith("\r\n"u8), "a reply is whole lines");
        foreach (var line in Encoding.Latin1.GetString(octets[..^2]).Split("\r\n"))
        {
            Check(line.Length >= 4 && line.AsSpan(0, 3).IndexOfAnyExceptInRange('0', '9') < 0 && line[3] is ' ' or '-', "a line has a code");
            Check(line.AsSpan().IndexOfAnyExceptInRange(' ', '~') < 0, "a reply is printable");
        }
    }

    private static void Check(bool condition, string promise)
    {
        if (!condition)
        {
            throw new InvalidOperationException(promise);
        }
    }

    private sealed class Run(SmtpSession session)
    {
        private long _body;
        private uint _id;
        private bool _isCommitted;

        public bool IsClosed { get; private set; }

        public void Feed(ref ReadOnlySequence<byte> input)
        {
            var stepsMax = (10 * input.Length) + 100;
            var step = session.Next(ref input);
            for (var steps = 0L; ; steps++)
            {
                Check(steps < stepsMax, "octets make a bounded number of steps");
                switch (step.Kind)
                {
                    case SmtpStepKind.NeedInput:
                        return;
                    case SmtpStepKind.Reply:
                        Reply(step.Octets);
                        var isQueued = step.Octets.IndexOf("queued as"u8) >= 0;
                        Check(isQueued == _isCommitted, "250 for a message means that it is committed");
                        _isCommitted = false;
                        step = session.Next(ref input);
                        continue;
                    case SmtpStepKind.CheckSender:
                        step = session.SenderChecked(null);
                        continue;
                    case SmtpStepKind.ResolveRecipient:
                        step = session.RecipientResolved(RecipientResolution.Accept(session.ForwardPath.Address));
                        continue;
                    case SmtpStepKind.StartMessage:
                        _body = 0;
                        step = session.MessageStarted(QueueId.Create(1, ++_id), DateTimeOffset.UnixEpoch);
                        continue;
                    case SmtpStepKind.Body:
                        _body += step.Octets.Length;
                        Check(_body <= Limits.MessageSizeMax + 4096, "a message is bounded");
                        step = session.Next(ref input);
                        continue;
                    case SmtpStepKind.DiscardMessage:
                        step = session.Next(ref input);
                        continue;
                    case SmtpStepKind.CommitMessage:
                        Check(session.Envelope.Recipients.Count > 0, "a message has a recipient");
                        _isCommitted = _id % 3 != 0;
                        step = _isCommitted
                            ? session.MessageCommitted(QueueId.Create(1, _id))
                            : session.MessageNotCommitted(SmtpReplies.NotCommitted);
                        continue;
                    case SmtpStepKind.StartTls:
                        Reply(step.Octets);
                        input = input.Slice(input.End);
                        step = session.TlsEstablished(ref input);
                        continue;
                    case SmtpStepKind.DelayRejection:
                        step = session.RejectionDelayed();
                        continue;
                    case SmtpStepKind.VerifyPassword:
                        step = session.PasswordVerified(session.ClaimedPassword is "secret");
                        continue;
                    case SmtpStepKind.FindHash:
                        step = session.HashFound(Hash, "nonce"u8);
                        continue;
                    default:
                        Reply(step.Octets);
                        IsClosed = true;
                        return;
                }
            }
        }
    }
}
