using Quorumail.Core.Mail;

namespace Quorumail.Server.Storage;

/// <summary>A body that should be on this disk is not there: it was deleted, or its disk was replaced.</summary>
public sealed class BodyMissingException : StorageException
{
    public BodyMissingException()
    {
    }

    public BodyMissingException(string message)
        : base(message)
    {
    }

    public BodyMissingException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    internal BodyMissingException(QueueId id, string what)
        : base($"The body of message {id} is not on this disk: {what}.")
    {
        Id = id;
    }

    /// <summary>The message.</summary>
    public QueueId Id { get; }
}
