using System.Buffers;
using System.Net;
using System.Text;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Core.Tests.Smtp;

/// <summary>A host without sockets: feeds octets to a session, answers its questions, and keeps what came out.</summary>
internal sealed class SessionHost
{
    public static readonly DateTimeOffset Now = new(2026, 11, 23, 1, 2, 3, TimeSpan.Zero);

    private readonly SmtpSession _session;
    private readonly List<byte> _body = [];
    private byte[] _pending = [];
    private uint _nextId = 1;

    public SessionHost(SmtpRole role = SmtpRole.Mx, SmtpLimits? limits = null, bool normalizes = false, bool hasTls = false, bool canStartTls = true)
    {
        var service = new SmtpService("mx.test", role, limits ?? SmtpLimits.Default) { NormalizesLineEnds = normalizes };
        _session = new SmtpSession(service, IPAddress.Parse("192.0.2.1"), canStartTls, hasTls);
        var greeting = _session.Greet();
        Write(greeting.Octets);
    }

    public StringBuilder Output { get; } = new();

    /// <summary>Steps as words, body octets joined: what must not depend on how the octets were split.</summary>
    public List<string> Steps { get; } = [];

    public List<(Envelope Envelope, string Body, BodyTraits Traits)> Messages { get; } = [];

    public bool IsClosed { get; private set; }

    public Func<MailPath, RecipientResolution> Resolve { get; set; } = path => path.LocalPart is "unknown"
        ? RecipientResolution.Refuse(SmtpReplies.UnknownUser)
        : RecipientResolution.Accept(path.Address);

    public Func<SmtpReply?> CheckSender { get; set; } = () => null;

    public Func<SmtpReply?> StartMessage { get; set; } = () => null;

    public Func<bool> Commit { get; set; } = () => true;

    public Func<string, PasswordHash?> FindHash { get; set; } = _ => null;

    public SmtpSession Session => _session;

    public string LastReply => Output.ToString().TrimEnd().Split("\r\n")[^1];

    public string[] Replies => Output.ToString().TrimEnd().Split("\r\n");

    public SessionHost Line(params string[] lines)
    {
        foreach (var line in lines)
        {
            Feed(Encoding.UTF8.GetBytes(line + "\r\n"));
        }

        return this;
    }

    public string Ask(string line)
    {
        var before = Output.Length;
        Line(line);
        return Output.ToString()[before..].TrimEnd();
    }

    public void Feed(byte[] octets)
    {
        _pending = [.. _pending, .. octets];
        Run();
    }

    public void Feed(string octets) => Feed(Encoding.Latin1.GetBytes(octets));

    private void Run()
    {
        if (IsClosed)
        {
            return;
        }

        var input = Segments.Of(_pending);
        var step = _session.Next(ref input);
        while (true)
        {
            switch (step.Kind)
            {
                case SmtpStepKind.NeedInput:
                    _pending = input.ToArray();
                    return;
                case SmtpStepKind.Reply:
                    Write(step.Octets);
                    step = _session.Next(ref input);
                    continue;
                case SmtpStepKind.CheckSender:
                    step = _session.SenderChecked(CheckSender());
                    continue;
                case SmtpStepKind.ResolveRecipient:
                    step = _session.RecipientResolved(Resolve(_session.ForwardPath));
                    continue;
                case SmtpStepKind.StartMessage:
                    _body.Clear();
                    step = StartMessage() is { } refusal
                        ? _session.MessageRefused(refusal, ref input)
                        : _session.MessageStarted(QueueId.Create(1, _nextId), Now);
                    continue;
                case SmtpStepKind.Body:
                    _body.AddRange(step.Octets);
                    step = _session.Next(ref input);
                    continue;
                case SmtpStepKind.DiscardMessage:
                    _body.Clear();
                    Steps.Add("discard");
                    step = _session.Next(ref input);
                    continue;
                case SmtpStepKind.CommitMessage:
                    var isCommitted = Commit();
                    Steps.Add(isCommitted ? "commit" : "no commit");
                    if (isCommitted)
                    {
                        Messages.Add((_session.Envelope, Encoding.Latin1.GetString([.. _body]), _session.Traits));
                        Steps.Add(Messages[^1].Body + Messages[^1].Traits);
                    }

                    step = isCommitted
                        ? _session.MessageCommitted(QueueId.Create(1, _nextId++))
                        : _session.MessageNotCommitted(SmtpReplies.NotCommitted);
                    continue;
                case SmtpStepKind.StartTls:
                    Write(step.Octets);
                    input = input.Slice(input.End);
                    step = _session.TlsEstablished(ref input);
                    continue;
                case SmtpStepKind.VerifyPassword:
                    step = _session.PasswordVerified(
                        FindHash(_session.ClaimedUser)?.Verify(_session.ClaimedPassword) == true);
                    continue;
                case SmtpStepKind.DelayRejection:
                    Steps.Add("delay");
                    step = _session.RejectionDelayed();
                    continue;
                case SmtpStepKind.FindHash:
                    var hash = FindHash(_session.ClaimedUser) ?? PasswordHash.CreateDecoy(_session.ClaimedUser, "s"u8, 4096);
                    step = _session.HashFound(hash, "servernonce"u8);
                    continue;
                default:
                    Write(step.Octets);
                    Steps.Add("close");
                    IsClosed = true;
                    return;
            }
        }
    }

    private void Write(ReadOnlySpan<byte> octets)
    {
        var text = Encoding.ASCII.GetString(octets);
        Assert.All(text.TrimEnd(), c => Assert.True(c is >= ' ' and <= '~' or '\r' or '\n'));
        Output.Append(text);
        Steps.Add(text);
    }
}

internal static class Segments
{
    public static ReadOnlySequence<byte> Of(byte[] octets) => new(octets);

    /// <summary>The octets in several segments, as a pipe would hold them.</summary>
    public static ReadOnlySequence<byte> Of(byte[] octets, int segmentLength)
    {
        if (octets.Length <= segmentLength)
        {
            return new ReadOnlySequence<byte>(octets);
        }

        Segment? first = null;
        Segment? last = null;
        for (var at = 0; at < octets.Length; at += segmentLength)
        {
            var next = new Segment(octets.AsMemory(at, Math.Min(segmentLength, octets.Length - at)), last);
            first ??= next;
            last = next;
        }

        return new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, Segment? previous)
        {
            Memory = memory;
            if (previous is not null)
            {
                RunningIndex = previous.RunningIndex + previous.Memory.Length;
                previous.Next = this;
            }
        }
    }
}
