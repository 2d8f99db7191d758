using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Text;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Core.Smtp;

/// <summary>
/// The server's side of one SMTP conversation (RFC 5321), without I/O: octets and outcomes go in, steps come out. The host
/// calls <see cref="Greet"/>, then <see cref="Next"/> until it needs input, and answers each question by the method that
/// the step names. A 250 for a message comes only out of <see cref="MessageCommitted"/>.
/// </summary>
public sealed class SmtpSession
{
    private readonly SmtpService _service;
    private readonly IPAddress _client;
    private readonly SmtpParser _parser;
    private readonly bool _canStartTls;
    private MessageReader? _reader;
    private SaslExchange? _sasl;
    private Transaction? _transaction;
    private SmtpReply? _refusal;
    private byte[] _scratch = [];
    private SmtpStepKind _owed;
    private Mode _mode;
    private bool _hasHello;
    private bool _isExtended;
    private bool _isDiscarded;
    private bool _isLastChunk;
    private bool _hasTrailer;
    private long _skipRemaining;
    private int _errors;
    private int _idleCommands;
    private int _authenticationFailures;

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
        MessageEnd,
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
    public bool IsReceiving => _mode is Mode.Message or Mode.SkipChunk;

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
    public BodyTraits Traits => Open.Parameters.Declared | (_reader?.Traits ?? BodyTraits.None);

    /// <summary>The name to be checked or looked up.</summary>
    public string ClaimedUser => _sasl?.UserName ?? string.Empty;

    /// <summary>The password to be checked.</summary>
    public string ClaimedPassword => _sasl?.Password ?? string.Empty;

    private SmtpLimits Limits => _service.Limits;

    private bool IsSubmission => _service.Role == SmtpRole.Submission;

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
                return NextCommand(ref input);
            case Mode.AuthenticationResponse:
                return NextResponse(ref input);
            case Mode.AnnounceData:
                _mode = Mode.Message;
                return new SmtpStep(SmtpStepKind.Reply, SmtpReplies.StartData.Wire);
            case Mode.Message:
                return NextPiece(ref input);
            case Mode.MessageEnd:
                return EndMessage();
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
            _transaction = null;
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

    /// <summary>Answers <see cref="SmtpStepKind.StartMessage"/>: the message has a name and a time.</summary>
    public SmtpStep MessageStarted(QueueId id, DateTimeOffset time)
    {
        Settle(SmtpStepKind.StartMessage);
        var transaction = Open;
        transaction.Start(id, time);
        _isDiscarded = false;
        _hasTrailer = false;
        _mode = transaction.IsChunked ? Mode.Message : Mode.AnnounceData;
        var received = TraceFields.Received(
            Helo,
            _client,
            _service.Hostname,
            Protocol,
            id,
            transaction.AcceptedPaths == 1 ? transaction.FirstPath : null,
            time);
        return new SmtpStep(SmtpStepKind.Body, received);
    }

    /// <summary>
    /// Answers <see cref="SmtpStepKind.StartMessage"/>, or comes at any time while the message is received: it can't be stored.
    /// </summary>
    public SmtpStep MessageRefused(SmtpReply reply, ref ReadOnlySequence<byte> input)
    {
        ArgumentNullException.ThrowIfNull(reply);
        if (_owed != SmtpStepKind.StartMessage)
        {
            Invariant.Check(_mode is Mode.Message or Mode.AnnounceData or Mode.MessageEnd, "a message is being received");
            _refusal = reply;
            _reader?.Refuse();
            _isDiscarded = true;
            return Next(ref input);
        }

        Settle(SmtpStepKind.StartMessage);
        var isChunked = Open.IsChunked;
        _transaction = null;
        if (!isChunked)
        {
            return Reply(reply);
        }

        _mode = Mode.SkipChunk;
        _refusal = reply;
        return SkipChunk(ref input);
    }

    /// <summary>Answers <see cref="SmtpStepKind.CommitMessage"/>: the message is durable.</summary>
    public SmtpStep MessageCommitted(QueueId id)
    {
        Settle(SmtpStepKind.CommitMessage);
        Invariant.Check(Open.Id == id, "the message that was committed is the one that was received");
        ClearTransaction();
        _errors = 0;
        _idleCommands = 0;
        return Text($"250 2.0.0 queued as {id}\r\n");
    }

    /// <summary>Answers <see cref="SmtpStepKind.CommitMessage"/>: it is not, or nobody knows.</summary>
    public SmtpStep MessageNotCommitted(SmtpReply reply)
    {
        ArgumentNullException.ThrowIfNull(reply);
        Invariant.Check(reply.IsNegative, "no 250 before commit");
        Settle(SmtpStepKind.CommitMessage);
        ClearTransaction();
        return Reply(reply);
    }

    /// <summary>Answers <see cref="SmtpStepKind.StartTls"/>: nothing said before counts any more (RFC 3207 4.2).</summary>
    public SmtpStep TlsEstablished(ref ReadOnlySequence<byte> input)
    {
        Settle(SmtpStepKind.StartTls);
        HasTls = true;
        _hasHello = false;
        _isExtended = false;
        Helo = string.Empty;
        ClearTransaction();
        return Next(ref input);
    }

    /// <summary>Answers <see cref="SmtpStepKind.VerifyPassword"/>.</summary>
    public SmtpStep PasswordVerified(bool isCorrect)
    {
        Settle(SmtpStepKind.VerifyPassword);
        return isCorrect ? Accept() : RejectAuthentication();
    }

    /// <summary>Answers <see cref="SmtpStepKind.FindHash"/>.</summary>
    /// <param name="hash">The user's, or a decoy.</param>
    /// <param name="serverNonce">Random, printable ASCII without comma.</param>
    public SmtpStep HashFound(PasswordHash hash, ReadOnlySpan<byte> serverNonce)
    {
        ArgumentNullException.ThrowIfNull(hash);
        Settle(SmtpStepKind.FindHash);
        Invariant.Check(_sasl is not null, "an authentication is under way");
        return Continue(_sasl.UseHash(hash, serverNonce));
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
        if (parameters.ReadMail(argument[used..]) is { } refusal)
        {
            return Reply(refusal);
        }

        if ((parameters.Declared & BodyTraits.DeclaredSmtpUtf8) == BodyTraits.None && !Ascii.IsValid(path.Address))
        {
            return Reply(SmtpReplies.Utf8Required);
        }

        if (parameters.Size > Limits.MessageSizeMax)
        {
            return Reply(SmtpReplies.TooLarge);
        }

        _transaction = new Transaction(path, parameters);
        return Ask(SmtpStepKind.CheckSender);
    }

    private SmtpStep Recipient(ReadOnlySpan<byte> argument)
    {
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
        if (parameters.ReadRecipient(argument[used..], allowsUtf8) is { } refusal)
        {
            return Reply(refusal);
        }

        if (transaction.AcceptedPaths >= Limits.RecipientsMax)
        {
            return Reply(SmtpReplies.TooManyRecipients);
        }

        transaction.Consider(path, parameters);
        return Ask(SmtpStepKind.ResolveRecipient);
    }

    private SmtpStep Data(ReadOnlySpan<byte> argument, bool isFollowed)
    {
        if (isFollowed)
        {
            // What follows may be a message that would be read as commands: no way to go on (RFC 2920 3.1).
            return Close(SmtpReplies.NotSynchronized);
        }

        if (_transaction is not { IsChunked: false } transaction || transaction.TriedPaths == 0)
        {
            return Reply(SmtpReplies.BadSequence);
        }

        if (!argument.IsEmpty || transaction.Recipients.Count == 0)
        {
            return Reply(argument.IsEmpty ? SmtpReplies.NoRecipients : SmtpReplies.Syntax);
        }

        Reader.StartData();
        return Ask(SmtpStepKind.StartMessage);
    }

    private SmtpStep Chunk(ReadOnlySpan<byte> argument, ref ReadOnlySequence<byte> input)
    {
        var space = argument.IndexOf((byte)' ');
        var count = space < 0 ? argument : argument[..space];
        var last = space < 0 ? default : argument[(space + 1)..].Trim((byte)' ');
        if (count.IsEmpty || count.ContainsAnyExceptInRange((byte)'0', (byte)'9'))
        {
            return Reply(SmtpReplies.Syntax);
        }

        // A chunk that large is not read to its end.
        if (!Utf8Parser.TryParse(count, out long octets, out _) || octets > Limits.MessageSizeMax)
        {
            return Close(SmtpReplies.TooLarge);
        }

        _isLastChunk = Ascii.EqualsIgnoreCase(last, "LAST"u8);
        var refusal = last.Length > 0 && !_isLastChunk ? SmtpReplies.Syntax
            : _transaction is not { TriedPaths: > 0 } ? SmtpReplies.BadSequence
            : _transaction.Recipients.Count == 0 ? SmtpReplies.NoRecipients
            : null;
        if (refusal is not null)
        {
            _mode = Mode.SkipChunk;
            _skipRemaining = octets;
            _refusal = refusal;
            return SkipChunk(ref input);
        }

        var isFirst = !Open.IsChunked;
        if (isFirst)
        {
            Open.IsChunked = true;
            Reader.StartChunks();
        }

        Reader.StartChunk(octets, _isLastChunk);
        _skipRemaining = octets;
        _mode = Mode.Message;
        return isFirst ? Ask(SmtpStepKind.StartMessage) : NextPiece(ref input);
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
            _refusal = SmtpReplies.Ok;
            _skipRemaining = 0;
            _mode = Mode.SkipChunk;
            return new SmtpStep(SmtpStepKind.DiscardMessage);
        }

        return Idle(SmtpReplies.Ok);
    }

    private SmtpStep StartTls(ReadOnlySpan<byte> argument)
    {
        if (!_canStartTls && !HasTls)
        {
            return Reply(SmtpReplies.NotImplemented);
        }

        if (HasTls || _transaction is not null || User is not null)
        {
            return Reply(SmtpReplies.BadSequence);
        }

        if (!argument.IsEmpty)
        {
            return Reply(SmtpReplies.Syntax);
        }

        _owed = SmtpStepKind.StartTls;
        return new SmtpStep(SmtpStepKind.StartTls, SmtpReplies.StartTls.Wire);
    }

    private SmtpStep Authenticate(ReadOnlySpan<byte> argument, bool isFollowed)
    {
        if (!IsSubmission)
        {
            return Reply(SmtpReplies.NotImplemented);
        }

        if (!HasTls)
        {
            return Reply(SmtpReplies.EncryptionRequired);
        }

        if (!_isExtended || User is not null || _transaction is not null)
        {
            return Reply(SmtpReplies.BadSequence);
        }

        if (isFollowed)
        {
            return Close(SmtpReplies.NotSynchronized);
        }

        var space = argument.IndexOf((byte)' ');
        _sasl = SaslExchange.Begin(space < 0 ? argument : argument[..space]);
        if (_sasl is null)
        {
            return Reply(argument.IsEmpty ? SmtpReplies.Syntax : SmtpReplies.UnknownMechanism);
        }

        if (space < 0)
        {
            return Continue(SaslState.Challenge);
        }

        var initial = argument[(space + 1)..];
        return Respond(initial.SequenceEqual("="u8) ? default : initial);
    }

    private SmtpStep NextResponse(ref ReadOnlySequence<byte> input)
    {
        switch (_parser.ReadLine(ref input, Limits.AuthenticationLineMax, out var line))
        {
            case SmtpLine.NeedInput:
                return new SmtpStep(SmtpStepKind.NeedInput);
            case SmtpLine.Complete when line.SequenceEqual("*"u8):
                return EndAuthentication(SmtpReplies.AuthenticationCancelled);
            case SmtpLine.Complete:
                return Respond(line);
            case SmtpLine.Endless:
                return Close(SmtpReplies.LineTooLong);
            default:
                return EndAuthentication(SmtpReplies.BadBase64);
        }
    }

    private SmtpStep Respond(ReadOnlySpan<byte> encoded)
    {
        Invariant.Check(_sasl is not null, "an authentication is under way");
        if (!Base64.IsValid(encoded, out var length) || encoded.ContainsAny(" \t"u8))
        {
            return EndAuthentication(SmtpReplies.BadBase64);
        }

        var response = new byte[length];
        return Base64.DecodeFromUtf8(encoded, response, out _, out _) == OperationStatus.Done
            ? Continue(_sasl.Respond(response))
            : EndAuthentication(SmtpReplies.BadBase64);
    }

    private SmtpStep Continue(SaslState state)
    {
        Invariant.Check(_sasl is not null, "an authentication is under way");
        switch (state)
        {
            case SaslState.Challenge:
                _mode = Mode.AuthenticationResponse;
                return Text($"334 {Convert.ToBase64String(_sasl.Challenge)}\r\n");
            case SaslState.NeedsVerification:
                return Ask(SmtpStepKind.VerifyPassword);
            case SaslState.NeedsHash:
                return Ask(SmtpStepKind.FindHash);
            case SaslState.Accepted:
                return Accept();
            default:
                return RejectAuthentication();
        }
    }

    private SmtpStep Accept()
    {
        User = ClaimedUser;
        return EndAuthentication(SmtpReplies.Authenticated);
    }

    private SmtpStep RejectAuthentication() => ++_authenticationFailures >= Limits.AuthenticationFailuresMax
        ? Close(SmtpReplies.TooManyAuthenticationFailures)
        : EndAuthentication(SmtpReplies.AuthenticationFailed);

    private SmtpStep EndAuthentication(SmtpReply reply)
    {
        _sasl = null;
        _mode = Mode.Command;
        return Reply(reply);
    }

    private SmtpStep NextPiece(ref ReadOnlySequence<byte> input)
    {
        while (true)
        {
            var found = Reader.Read(input.FirstSpan, out var used, out var piece);
            input = input.Slice(used);
            switch (found)
            {
                case MessageRead.Piece:
                    return new SmtpStep(SmtpStepKind.Body, piece);
                case MessageRead.HeaderEnd when MissingFields() is { Length: > 0 } missing:
                    return new SmtpStep(SmtpStepKind.Body, missing);
                case MessageRead.End:
                    _mode = Mode.MessageEnd;
                    return EndMessage();
                case MessageRead.NeedInput when input.IsEmpty:
                    return Reader.Fault != MessageFault.None && !_isDiscarded ? Discard() : new SmtpStep(SmtpStepKind.NeedInput);
                case MessageRead.NeedInput when input.FirstSpan.IsEmpty:
                    var next = input.Start;
                    input.TryGet(ref next, out _);
                    input = input.Slice(next);
                    break;
            }
        }
    }

    private SmtpStep Discard()
    {
        _isDiscarded = true;
        return new SmtpStep(SmtpStepKind.DiscardMessage);
    }

    /// <summary>The true end of the message, or of a chunk.</summary>
    private SmtpStep EndMessage()
    {
        var isChunk = Open.IsChunked && !_isLastChunk;
        if (Reader.Fault != MessageFault.None)
        {
            if (!_isDiscarded)
            {
                return Discard();
            }

            if (!isChunk || Reader.Fault is MessageFault.TooLarge or MessageFault.Host)
            {
                var refusal = RefusalOf(Reader.Fault);
                ClearTransaction();
                return Reply(refusal);
            }
        }

        if (isChunk)
        {
            _mode = Mode.Command;
            return Text(string.Create(CultureInfo.InvariantCulture, $"250 2.0.0 {_skipRemaining} octets received\r\n"));
        }

        if (Reader.IsInHeader && !_hasTrailer && MissingFields() is { Length: > 0 } missing)
        {
            _hasTrailer = true;
            return new SmtpStep(SmtpStepKind.Body, missing);
        }

        return Ask(SmtpStepKind.CommitMessage);
    }

    private SmtpReply RefusalOf(MessageFault fault) => fault switch
    {
        MessageFault.BareLineEnd => SmtpReplies.BareLineEndInMessage,
        MessageFault.Nul => SmtpReplies.NulInMessage,
        MessageFault.TooLarge => SmtpReplies.TooLarge,
        MessageFault.HeaderTooLarge => SmtpReplies.HeaderTooLarge,
        MessageFault.TooManyHops => SmtpReplies.TooManyHops,
        MessageFault.LineTooLong => SmtpReplies.TextLineTooLong,
        _ => _refusal ?? SmtpReplies.StorageFailed,
    };

    /// <summary>Reads a chunk that was refused to its end, so that its octets are not taken for commands.</summary>
    private SmtpStep SkipChunk(ref ReadOnlySequence<byte> input)
    {
        var skipped = Math.Min(input.Length, _skipRemaining);
        input = input.Slice(skipped);
        _skipRemaining -= skipped;
        if (_skipRemaining > 0)
        {
            return new SmtpStep(SmtpStepKind.NeedInput);
        }

        _mode = Mode.Command;
        return Reply(_refusal ?? SmtpReplies.BadSequence);
    }

    private byte[] MissingFields() => !IsSubmission
        ? []
        : TraceFields.Missing(!Reader.HasMessageId, !Reader.HasDate, Open.Id, _service.Hostname, Open.Time);

    private MessageReader Reader => _reader ??= new MessageReader(Limits, _service.NormalizesLineEnds, reportsHeaderEnd: IsSubmission);

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

        if (reply.Code >= 500 && ++_errors >= Limits.ErrorsMax)
        {
            return Close(SmtpReplies.TooManyErrors);
        }

        return new SmtpStep(SmtpStepKind.Reply, reply.Wire);
    }

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
