namespace Quorumail.Core.Smtp;

/// <summary>What a reply judges.</summary>
public enum ReplySubject
{
    /// <summary>The conversation, or a command that has nothing to do with mail.</summary>
    Session = 0,

    /// <summary>An attempt to log in.</summary>
    Authentication = 1,

    /// <summary>A sender, a message, or a part of one.</summary>
    Message = 2,

    /// <summary>A recipient.</summary>
    Recipient = 3,
}
