using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Smtp;

/// <summary>
/// The server's side of one SMTP conversation (RFC 5321), without I/O: octets and outcomes go in, steps come out. The host
/// calls <see cref="Greet"/>, then <see cref="Next"/> until it needs input, and answers each question by the method that
/// the step names. A 250 for a message comes only out of <see cref="MessageCommitted"/>.
/// </summary>
public sealed partial class SmtpSession
{
    private readonly SmtpService _service;
    private readonly IPAddress _client;
    private readonly SmtpParser _parser;
    private readonly bool _canStartTls;
    private MessageReception? _reception;
    private Transaction? _transaction;
    private Transaction? _ended;
    private byte[] _scratch = [];
    private SmtpStepKind _owed;
    private Mode _mode;
    private bool _hasHello;
    private bool _hasForwardPath;
    private bool _isExtended;
    private int _errors;
    private int _deferredRecipients;
    private int _idleCommands;

    /// <param name="service">What the listener's sessions share.</param>
    /// <param name="client">Where the connection comes from (or, behind a proxy, came from).</param>
    /// <param name="canStartTls">A certificate is there.</param>
    /// <param name="hasTls">The connection began with TLS.</param>
    public SmtpSession(SmtpService service, IPAddress client, bool canStartTls, bool hasTls)
    {
        ArgumentNullException.ThrowIfNull(service);
        ArgumentNullException.ThrowIfNull(client);
        _service = service;
        _client = client;
        _canStartTls = canStartTls;
        HasTls = hasTls;
        _parser = new SmtpParser(service.Limits.EndlessLineMax);
    }

    private enum Mode : byte
    {
        Command,
        AuthenticationResponse,
        AnnounceData,
        Message,
        SkipChunk,
        Closed,
    }

    /// <summary>What the client called itself; empty before EHLO or HELO. Hostile text.</summary>
    public string Helo { get; private set; } = string.Empty;

    /// <summary>Whether the conversation is encrypted.</summary>
    public bool HasTls { get; private set; }

    /// <summary>Who has authenticated, or null.</summary>
    public string? User { get; private set; }

    /// <summary>How mail arrives here, as trace fields name it (RFC 3848).</summary>
    public string Protocol => TraceFields.Protocol(
        _isExtended,
        HasTls,
        User is not null,
        _transaction is { } open && (open.Parameters.Declared & BodyTraits.DeclaredSmtpUtf8) != BodyTraits.None);

    /// <summary>Whether a transaction (MAIL) is open.</summary>
    public bool HasTransaction => _transaction is not null;

    /// <summary>Whether message octets are being read.</summary>
    public bool IsReceiving => _mode is Mode.Message or Mode.SkipChunk && _owed == SmtpStepKind.NeedInput;

    /// <summary>Number of the message by DATA, or of the chunk, that was begun last; refused ones count.</summary>
    public int DataPart => _reception?.Part ?? 0;

    /// <summary>Octets that have come of it.</summary>
    public long DataOctets => _reception?.Octets ?? 0;

    /// <summary>After <see cref="SmtpStepKind.Close"/>: the client is still sending a message.</summary>
    public bool IsWithinData { get; private set; }

    /// <summary>What the reply that was given last is about, until <see cref="Next"/> begins to read a command.</summary>
    public ReplySubject Subject { get; private set; }

    /// <summary>Reverse-path of the transaction that the reply is about, even if it has ended with it; null if there is none.</summary>
    public string? SubjectReversePath => Judged?.ReversePath.Address;

    /// <summary>Forward-path that the reply is about; null if it is about none that could be read.</summary>
    public string? SubjectForwardPath => Subject == ReplySubject.Recipient && _hasForwardPath ? Judged?.ForwardPath.Address : null;

    /// <summary>Name of the message that the reply is about; null if it has none yet.</summary>
    public QueueId? SubjectMessage => Judged is { IsStarted: true } judged ? judged.Id : null;

    /// <summary>The open transaction's reverse-path.</summary>
    public MailPath ReversePath => Open.ReversePath;

    /// <summary>The forward-path that is asked about.</summary>
    public MailPath ForwardPath => Open.ForwardPath;

    /// <summary>SIZE as declared by MAIL, or 0.</summary>
    public long DeclaredSize => Open.Parameters.Size;

    /// <summary>The envelope of the message to be committed.</summary>
    public Envelope Envelope => new(
        Open.ReversePath.Address, Open.Recipients.ToArray(), Open.Parameters.Return, Open.Parameters.EnvelopeId);

    /// <summary>What was seen in the message to be committed, and declared of it.</summary>
    public BodyTraits Traits => Open.Parameters.Declared | (_reception?.Traits ?? BodyTraits.None);

    private SmtpLimits Limits => _service.Limits;

    private bool IsSubmission => _service.Role == SmtpRole.Submission;

    private Transaction? Judged => _transaction ?? _ended;

    private MessageReception Incoming => _reception ??= new MessageReception(_service);

    private Transaction Open
    {
        get
        {
            Invariant.Check(_transaction is not null, "a transaction is open");
            return _transaction;
        }
    }

    /// <summary>The greeting, before anything is read.</summary>
    public SmtpStep Greet() => new(SmtpStepKind.Reply, _service.GreetingReply.Wire);

    /// <summary>Refuses the conversation: the reply, and nothing more.</summary>
    public SmtpStep Close(SmtpReply reply)
    {
        ArgumentNullException.ThrowIfNull(reply);
        _mode = Mode.Closed;
        _owed = SmtpStepKind.NeedInput;
        return new SmtpStep(SmtpStepKind.Close, reply.Wire);
    }

    /// <summary>Goes on with what has arrived, and takes what it uses out of <paramref name="input"/>.</summary>
    public SmtpStep Next(ref ReadOnlySequence<byte> input)
    {
        Invariant.Check(_owed == SmtpStepKind.NeedInput, "the host answers a question before it goes on");
        switch (_mode)
        {
            case Mode.Command:
                Subject = ReplySubject.Session;
                _ended = null;
                _attemptedUser = null;
                return NextCommand(ref input);
            case Mode.AuthenticationResponse:
                return NextResponse(ref input);
            case Mode.AnnounceData:
                _mode = Mode.Message;
                return new SmtpStep(SmtpStepKind.Reply, SmtpReplies.StartData.Wire);
            case Mode.Message:
                return NextPiece(ref input);
            case Mode.SkipChunk:
                return SkipChunk(ref input);
            default:
                input = input.Slice(input.End);
                return new SmtpStep(SmtpStepKind.Close);
        }
    }

    /// <summary>Answers <see cref="SmtpStepKind.CheckSender"/>: null, or why not now.</summary>
    public SmtpStep SenderChecked(SmtpReply? refusal)
    {
        Settle(SmtpStepKind.CheckSender);
        if (refusal is not null)
        {
            EndTransaction();
            return Reply(refusal);
        }

        return Reply(SmtpReplies.SenderOk);
    }

    /// <summary>Answers <see cref="SmtpStepKind.ResolveRecipient"/>.</summary>
    public SmtpStep RecipientResolved(RecipientResolution resolution)
    {
        Settle(SmtpStepKind.ResolveRecipient);
        if (resolution.Refusal is { } refusal)
        {
            return Reply(refusal);
        }

        return Reply(Open.TryAdd(resolution, Limits.EnvelopeOctetsMax) ? SmtpReplies.RecipientOk : SmtpReplies.TooManyRecipients);
    }

    private SmtpStep NextCommand(ref ReadOnlySequence<byte> input)
    {
        var lineMax = IsSubmission && User is null ? Limits.AuthenticationLineMax : Limits.CommandLineMax + Limits.ExtensionLineMax;
        switch (_parser.ReadLine(ref input, lineMax, out var line))
        {
            case SmtpLine.NeedInput:
                return new SmtpStep(SmtpStepKind.NeedInput);
            case SmtpLine.Complete:
                return Command(line.TrimEnd(" \t"u8), ref input);
            case SmtpLine.TooLong:
                return Reply(SmtpReplies.LineTooLong);
            case SmtpLine.BareLineEnd:
                return Reply(SmtpReplies.BareLineEnd);
            case SmtpLine.Nul:
                return Reply(SmtpReplies.NulInCommand);
            default:
                return Close(SmtpReplies.LineTooLong);
        }
    }

    private SmtpStep Command(ReadOnlySpan<byte> line, ref ReadOnlySequence<byte> input)
    {
        var space = line.IndexOf((byte)' ');
        var verb = space < 0 ? line : line[..space];
        var argument = space < 0 ? default : line[(space + 1)..];
        var key = verb.Length == 4 ? BinaryPrimitives.ReadUInt32BigEndian(verb) & 0xDFDFDFDF : 0;
        var hasExtensions = key is SmtpVerb.Mail or SmtpVerb.Rcpt or SmtpVerb.Auth;
        var lineMax = Limits.CommandLineMax + (hasExtensions ? Limits.ExtensionLineMax : 0);
        if (key != SmtpVerb.Auth && line.Length + 2 > lineMax)
        {
            return Reply(SmtpReplies.LineTooLong);
        }

        switch (key)
        {
            case SmtpVerb.Ehlo:
                return Hello(argument, isExtended: true);
            case SmtpVerb.Helo:
                return Hello(argument, isExtended: false);
            case SmtpVerb.Mail:
                return Mail(argument);
            case SmtpVerb.Rcpt:
                return Recipient(argument);
            case SmtpVerb.Data:
                return Data(argument, isFollowed: !input.IsEmpty);
            case SmtpVerb.Bdat:
                return Chunk(argument, ref input);
            case SmtpVerb.Rset:
                return Reset(argument);
            case SmtpVerb.Noop:
                return Idle(SmtpReplies.Ok);
            case SmtpVerb.Help:
                return Idle(SmtpReplies.Help);
            case SmtpVerb.Vrfy:
                return Idle(SmtpReplies.CannotVerify);
            case SmtpVerb.Expn:
                return Reply(SmtpReplies.NotImplemented);
            case SmtpVerb.Auth:
                return Authenticate(argument, isFollowed: !input.IsEmpty);
            case SmtpVerb.Quit:
                return argument.IsEmpty ? Close(SmtpReplies.Bye) : Reply(SmtpReplies.Syntax);
            case SmtpVerb.None when Ascii.EqualsIgnoreCase(verb, "STARTTLS"u8):
                return StartTls(argument);
            case SmtpVerb.None when SmtpVerb.BelongsToAnotherProtocol(verb):
                return Close(SmtpReplies.UnknownCommand);
            default:
                return Reply(SmtpReplies.UnknownCommand);
        }
    }

    private SmtpStep Hello(ReadOnlySpan<byte> argument, bool isExtended)
    {
        var name = argument.Trim((byte)' ');
        if (name.Length is 0 or > MailPath.DomainMax || name.ContainsAnyExceptInRange((byte)' ', (byte)'~'))
        {
            return Reply(SmtpReplies.Syntax);
        }

        ClearTransaction();
        _hasHello = true;
        _isExtended = isExtended;
        Helo = Encoding.ASCII.GetString(name);
        if (++_idleCommands > Limits.IdleCommandsMax && ++_errors >= Limits.ErrorsMax)
        {
            return Close(SmtpReplies.TooManyErrors);
        }

        return new SmtpStep(SmtpStepKind.Reply, isExtended
            ? _service.EhloReply(_canStartTls && !HasTls, IsSubmission && HasTls && User is null)
            : _service.HeloReply.Wire);
    }

    private SmtpStep Mail(ReadOnlySpan<byte> argument)
    {
        Subject = ReplySubject.Message;
        if (!_hasHello || _transaction is not null)
        {
            return Reply(SmtpReplies.BadSequence);
        }

        if (IsSubmission && (!HasTls || User is null))
        {
            return Reply(HasTls ? SmtpReplies.AuthenticationRequired : SmtpReplies.TlsRequired);
        }

        if (!TakePrefix(ref argument, "FROM:"u8))
        {
            return Reply(SmtpReplies.Syntax);
        }

        // Whether SMTPUTF8 was asked for is known only behind the path.
        var fault = MailPath.Parse(argument, isReverse: true, allowsUtf8: true, out var path, out var used);
        if (fault != AddressFault.None)
        {
            return Reply(SmtpReplies.BadReversePath);
        }

        var parameters = default(SmtpParameters);
        var refusal = parameters.ReadMail(argument[used..])
            ?? ((parameters.Declared & BodyTraits.DeclaredSmtpUtf8) == BodyTraits.None && !Ascii.IsValid(path.Address) ? SmtpReplies.Utf8Required
            : parameters.Size > Limits.MessageSizeMax ? SmtpReplies.TooLarge
            : null);
        _transaction = new Transaction(path, parameters);
        if (refusal is not null)
        {
            EndTransaction();
            return Reply(refusal);
        }

        return Ask(SmtpStepKind.CheckSender);
    }

    private SmtpStep Recipient(ReadOnlySpan<byte> argument)
    {
        Subject = ReplySubject.Recipient;
        _hasForwardPath = false;
        if (_transaction is not { IsChunked: false } transaction)
        {
            return Reply(SmtpReplies.BadSequence);
        }

        if (!TakePrefix(ref argument, "TO:"u8))
        {
            return Reply(SmtpReplies.Syntax);
        }

        transaction.TriedPaths++;
        var allowsUtf8 = (transaction.Parameters.Declared & BodyTraits.DeclaredSmtpUtf8) != BodyTraits.None;
        var fault = MailPath.Parse(argument, isReverse: false, allowsUtf8, out var path, out var used);
        if (fault != AddressFault.None)
        {
            return Reply(fault == AddressFault.NeedsUtf8 ? SmtpReplies.Utf8Required : SmtpReplies.BadPath);
        }

        var parameters = default(SmtpParameters);
        var refusal = parameters.ReadRecipient(argument[used..], allowsUtf8)
            ?? (transaction.AcceptedPaths >= Limits.RecipientsMax ? SmtpReplies.TooManyRecipients : null);
        transaction.Consider(path, parameters);
        _hasForwardPath = true;
        return refusal is null ? Ask(SmtpStepKind.ResolveRecipient) : Reply(refusal);
    }

    private SmtpStep Reset(ReadOnlySpan<byte> argument)
    {
        if (!argument.IsEmpty)
        {
            return Reply(SmtpReplies.Syntax);
        }

        var isBegun = _transaction is { IsChunked: true };
        ClearTransaction();
        if (isBegun)
        {
            // The chunks so far are thrown away before the reply.
            Incoming.StartSkipping(0, SmtpReplies.Ok);
            _mode = Mode.SkipChunk;
            return new SmtpStep(SmtpStepKind.DiscardMessage);
        }

        return Idle(SmtpReplies.Ok);
    }

    private SmtpStep Ask(SmtpStepKind question)
    {
        _owed = question;
        return new SmtpStep(question);
    }

    private void Settle(SmtpStepKind question)
    {
        Invariant.Check(_owed == question, "the host answers what it was asked");
        _owed = SmtpStepKind.NeedInput;
    }

    private void ClearTransaction()
    {
        _transaction = null;
        _mode = Mode.Command;
    }

    /// <summary>Ends the transaction with a refusal, which is still about it.</summary>
    private void EndTransaction()
    {
        _ended = _transaction;
        ClearTransaction();
    }

    private SmtpStep Idle(SmtpReply reply)
    {
        if (++_idleCommands > Limits.IdleCommandsMax && ++_errors >= Limits.ErrorsMax)
        {
            return Close(SmtpReplies.TooManyErrors);
        }

        return Reply(reply);
    }

    private SmtpStep Reply(SmtpReply reply)
    {
        if (reply.Code == 421)
        {
            return Close(reply);
        }

        if (reply.IsNegative && !IsSpared(reply) && ++_errors >= Limits.ErrorsMax)
        {
            return Close(SmtpReplies.TooManyErrors);
        }

        return new SmtpStep(SmtpStepKind.Reply, reply.Wire);
    }

    // Many recipients of one message may have to be put off, which is no fault of the client's.
    private bool IsSpared(SmtpReply reply) =>
        reply.Code < 500 && Subject == ReplySubject.Recipient && ++_deferredRecipients <= Limits.DeferredRecipientsMax;

    private SmtpStep Text(string text)
    {
        if (_scratch.Length < text.Length)
        {
            _scratch = new byte[Math.Max(text.Length, 64)];
        }

        return new SmtpStep(SmtpStepKind.Reply, _scratch.AsSpan(0, Encoding.ASCII.GetBytes(text, _scratch)));
    }

    private static bool TakePrefix(ref ReadOnlySpan<byte> argument, ReadOnlySpan<byte> prefix)
    {
        var text = argument.TrimStart((byte)' ');
        if (text.Length < prefix.Length || !Ascii.EqualsIgnoreCase(text[..prefix.Length], prefix))
        {
            return false;
        }

        // Not in the grammar, but common: a space before the path.
        argument = text[prefix.Length..].TrimStart((byte)' ');
        return true;
    }
}
